import { start } from '../shared/mount'
import Room from './Room.svelte'

void start(Room)
