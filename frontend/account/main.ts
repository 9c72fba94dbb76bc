import { start } from '../shared/mount'
import Account from './Account.svelte'

void start(Account)
