import { loadDesk } from '../shared/i18n/desk'
import { start } from '../shared/mount'
import Moderator from './Moderator.svelte'

void start(Moderator, loadDesk)
