import type { Entry } from '../outbox'
import { hello, makeLive, memory, ROOM, snapshot, World } from './fake'

/** A server that answers joins, and commands unless told to lose the answer. */
export function shop(world: World) {
  const server = { done: new Map<string, any>(), deaf: false, mute: false, refuse: null as any, asked: [] as string[][] }
  world.onOpen = (s) => s.say(hello(world))
  world.onFrame = (frame, s) => {
    if (server.deaf) return
    if (frame.type === 'join') {
      for (const { stream } of frame.streams) s.say({ type: 'joined', stream, mode: 'resync', epoch: 1, seq: 5, snapshot: snapshot() })
    } else if (frame.type === 'ping') world.later(() => s.say({ type: 'pong', time: world.serverTime, at: frame.at }), 50)
    else if (frame.type === 'ask') {
      server.asked.push(frame.ids)
      s.say({ type: 'told', answers: Object.fromEntries(frame.ids.map((id: string) => [id, server.done.get(id) ?? null])) })
    } else if (frame.type === 'do') {
      if (server.refuse && !server.done.has(frame.id)) {
        s.say({ type: 'error', id: frame.id, ...server.refuse })
        return
      }
      const repeated = server.done.has(frame.id)
      if (!repeated) server.done.set(frame.id, { got: 1, of: frame.name })
      if (!server.mute) s.say({ type: 'ack', id: frame.id, answer: server.done.get(frame.id), repeated })
    }
  }
  return server
}

/** A page that follows the room. */
export function start(world: World, kept = memory(), tab = memory()) {
  const live = makeLive(world, kept, tab)
  live.follow(ROOM)
  live.start()
  world.pass(2_000)
  return live
}

/** What becomes of its commands from now on. */
export const states = (live: ReturnType<typeof start>) => {
  const seen: string[] = []
  live.outbox.on('change', (e: Entry) => seen.push(e.state))
  return seen
}
