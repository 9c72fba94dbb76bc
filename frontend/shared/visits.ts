import { device } from './boot'

/** Rooms that were opened on this device, the latest first. They leave it for nobody. */
export interface Visit {
  room: string
  name: string
  shop: string
}

export function visits(): Visit[] {
  try {
    return JSON.parse(device.getItem('livesale.rooms') ?? '[]')
  } catch {
    return []
  }
}

export function visited(visit: Visit): void {
  const rest = visits().filter((v) => v.room !== visit.room)
  device.setItem('livesale.rooms', JSON.stringify([visit, ...rest].slice(0, 12)))
}
