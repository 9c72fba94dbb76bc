/** Streams are followed over lost links, refused joins and changes of who one is. */
import { expect, test } from 'vitest'
import { isStaff } from '../room'
import { hello, ME, ROOM, snapshot, World } from './fake'
import { shop, start } from './shop'

test('are resumed as what their state began as, whatever an event has said since', () => {
  const world = new World()
  shop(world)
  const greet = (features: string[]) => (world.onOpen = (s) => s.say({ ...hello(world), features }))
  greet(['standing'])
  const live = start(world)
  const appointed = { seq: 6, kind: 'member.appointed', at: 1, body: { person: ME, role: 'moderator' } }
  world.socket.say({ type: 'events', stream: ROOM, epoch: 1, first: 6, last: 6, events: [appointed] })
  expect(live.follow(ROOM).state!.me.role).toBe('moderator')
  // what the staff see did not come any more
  world.socket.end(1006)
  world.pass(3_000)
  expect(world.socket.of('join')[0].streams).toEqual([{ stream: ROOM, after: 6, epoch: 1, staff: false }])
  // in a shop's own stream whoever works there is staff, in whatever role
  for (const role of ['manager', 'packer']) expect(isStaff({ ...live.follow(ROOM).state!, me: { ...live.follow(ROOM).state!.me, role: role as any } })).toBe(true)
  // an older server would refuse a word that it does not know
  greet([])
  world.socket.end(1006)
  world.pass(3_000)
  expect(world.socket.of('join')[0].streams).toEqual([{ stream: ROOM, after: 5, epoch: 1 }])
})

test('resume from the position; a gap asks for what is missing', () => {
  const world = new World()
  shop(world)
  const live = start(world)
  const event = (seq: number) => ({ seq, kind: 'message.sent', at: 1, body: { message: `m${seq}`, text: '' } })
  world.socket.say({ type: 'events', stream: ROOM, epoch: 1, first: 6, last: 7, events: [event(6), event(7)] })
  expect(live.follow(ROOM).state?.seq).toBe(7)
  world.onFrame = null
  world.socket.say({ type: 'events', stream: ROOM, epoch: 1, first: 9, last: 9, events: [event(9)] })
  world.socket.say({ type: 'events', stream: ROOM, epoch: 1, first: 10, last: 10, events: [event(10)] })
  expect(world.socket.of('join').at(-1)).toEqual({ type: 'join', streams: [{ stream: ROOM, after: 7, epoch: 1 }] })
  expect(world.socket.of('join').length).toBe(2)
})

test('a join that was refused for now is asked for again, once', () => {
  const world = new World()
  shop(world)
  const live = start(world)
  const left = () => world.socket.of('join').length
  // on the next link it is refused, as too fast, or because the database is away
  world.onFrame = null
  world.socket.end(1006)
  world.pass(4_000)
  expect(left()).toBe(1)
  const refusal = { type: 'error', code: 'rate.limited', message: '', temporary: true, retry_after: 0.5 }
  world.socket.say(refusal)
  world.socket.say(refusal)
  world.pass(1_000)
  expect(left()).toBe(2)
  world.socket.say({ type: 'joined', stream: ROOM, mode: 'replay', seq: 5, epoch: 1 })
  world.socket.say(refusal)
  world.pass(5_000)
  expect(left()).toBe(2)
  expect(live.follow(ROOM).left).toBeNull()
})

test('after a lost link the join names position and epoch', () => {
  const world = new World()
  shop(world)
  start(world)
  world.onFrame = null
  world.pass(6_000)
  world.socket.end(1006)
  world.pass(1_000)
  expect(world.socket.of('join')).toEqual([{ type: 'join', streams: [{ stream: ROOM, after: 5, epoch: 1 }] }])
})

test('another person starts from a snapshot', () => {
  const world = new World()
  shop(world)
  const live = start(world)
  world.onOpen = (s) => s.say(hello(world, null))
  live.signedInOrOut()
  world.pass(1_000)
  expect(world.socket.of('join')).toEqual([{ type: 'join', streams: [{ stream: ROOM }] }])
})

test('put out of the room', () => {
  const world = new World()
  shop(world)
  const live = start(world)
  world.socket.say({ type: 'left', stream: ROOM, code: 'member.banned', message: 'No' })
  expect(live.follow(ROOM).left?.code).toBe('member.banned')
})
