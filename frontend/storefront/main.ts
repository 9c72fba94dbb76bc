import { start } from '../shared/mount'
import Storefront from './Storefront.svelte'

void start(Storefront)
