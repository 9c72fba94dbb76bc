import { start } from '../shared/mount'
import Home from './Home.svelte'

void start(Home)
