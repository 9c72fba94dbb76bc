import { loadDesk } from '../shared/i18n/desk'
import { start } from '../shared/mount'
import Host from './Host.svelte'

void start(Host, loadDesk)
