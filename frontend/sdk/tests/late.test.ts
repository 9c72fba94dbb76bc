/** What a person wanted a while ago is not carried out by itself, and not said to be undone where it may come. */
import { expect, test } from 'vitest'
import { hello, ME, ROOM, World } from './fake'
import { shop, start } from './shop'

test('a claim older than 10 s waits for the buyer', async () => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  server.deaf = true
  const { entry, result } = live.outbox.do(ROOM, 'claim.place', { offer: 'a' })
  world.onOpen = null
  world.socket.end(1006)
  world.pass(20_000)
  server.deaf = false
  world.onOpen = (s) => s.say(hello(world))
  world.pass(60_000)
  expect(entry.state).toBe('stale')
  expect(server.done.size).toBe(0)
  live.outbox.confirm(entry.id)
  expect(await result).toMatchObject({ got: 1 })
  expect([...server.done.keys()]).toEqual([entry.id])
})

test('a claim tapped without a link is not placed minutes later', () => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  world.onOpen = null
  world.socket.end(1006)
  const { entry } = live.outbox.do(ROOM, 'claim.place')
  const other = live.outbox.do(ROOM, 'message.delete').entry
  world.pass(120_000)
  world.onOpen = (s) => s.say(hello(world))
  world.pass(60_000)
  expect(entry.state).toBe('stale')
  expect(other.state).toBe('confirmed')
  expect(server.done.size).toBe(1)
  live.outbox.discard(entry.id)
  expect(live.outbox.pending()).toEqual([])
})

test('a claim tapped without a link waits for the buyer when the phone slept meanwhile', () => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  world.chance = () => 0.9
  world.socket.end(1006)
  const { entry } = live.outbox.do(ROOM, 'claim.place')
  // monotonic time stands still in a sleeping device; the server's and the wall's do not
  world.serverAhead += 600_000
  world.wake()
  world.pass(5_000)
  expect(Math.abs(live.clock.now() - world.serverTime)).toBeLessThan(1_000)
  expect(entry.state).toBe('stale')
  expect(server.done.size).toBe(0)
})

test('a claim tapped right after the phone woke up is sent: the sleep came before it', async () => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  world.chance = () => 0.9
  world.socket.end(1006)
  world.serverAhead += 600_000
  const { entry, result } = live.outbox.do(ROOM, 'claim.place')
  world.wake()
  world.pass(5_000)
  expect(entry.state).toBe('confirmed')
  expect(await result).toMatchObject({ got: 1 })
  expect(server.done.size).toBe(1)
})

test('a device whose clock is set back does not make an old claim young', () => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  world.onOpen = null
  world.socket.end(1006)
  const { entry } = live.outbox.do(ROOM, 'claim.place')
  world.pass(120_000)
  world.deviceWrongBy -= 3_600_000
  world.onOpen = (s) => s.say(hello(world))
  world.pass(60_000)
  expect(entry.state).toBe('stale')
  expect(server.done.size).toBe(0)
})

test.each([
  ['order.pay', {}],
  ['order.deliver', {}],
  ['claim.place', { buyer: ME }],
])('%s %j asks nobody again: without a link it is over in ten seconds, and says so', async (name, body) => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  world.onOpen = null
  world.socket.end(1006)
  const { entry, result } = live.outbox.do(ROOM, name, body)
  world.pass(9_000)
  expect(entry.state).toBe('sending')
  world.pass(2_000)
  expect(entry.state).toBe('refused')
  await expect(result).rejects.toMatchObject({ code: 'outbox.late' })
  world.onOpen = (s) => s.say(hello(world))
  world.pass(60_000)
  expect(server.done.size).toBe(0)
  expect(live.outbox.pending()).toEqual([])
})

test.each([
  ['order.pay', {}],
  ['order.deliver', {}],
  ['claim.place', { buyer: ME }],
])('%s %j that left and never arrived is not sent again when it is old, and may still be in a queue', async (name, body) => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  server.deaf = true
  const { entry, result } = live.outbox.do(ROOM, name, body)
  world.onOpen = null
  world.socket.end(1006)
  world.pass(20_000)
  // it may have been carried out: nobody says that it was not before the server has
  expect(entry.state).toBe('unknown')
  server.deaf = false
  world.onOpen = (s) => s.say(hello(world))
  world.pass(60_000)
  await expect(result).rejects.toMatchObject({ code: 'outbox.unsure' })
  expect(server.done.size).toBe(0)
})

test('paying is one word, however many commands it takes: what comes after a long wait is not sent', async () => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  const word = live.outbox.word()
  server.mute = true
  const address = live.do(ROOM, 'order.deliver', {}, word)
  world.onOpen = null
  world.socket.end(1006)
  world.pass(20_000)
  server.mute = false
  world.onOpen = (s) => s.say(hello(world))
  world.pass(60_000)
  // the address had arrived, as the server tells now
  expect(await address).toMatchObject({ of: 'order.deliver' })
  await expect(live.do(ROOM, 'order.pay', {}, word)).rejects.toMatchObject({ code: 'outbox.late' })
  expect(server.done.size).toBe(1)
  expect(await live.do(ROOM, 'order.pay', {}, live.outbox.word())).toMatchObject({ of: 'order.pay' })
})

test('a server that stays busy is not asked for ever to take a payment', async () => {
  const world = new World()
  const server = shop(world)
  server.refuse = { code: 'server.busy', message: '', temporary: true, retry_after: 2 }
  const live = start(world)
  const result = live.do(ROOM, 'order.pay')
  world.pass(60_000)
  await expect(result).rejects.toMatchObject({ code: 'outbox.late' })
})

test.each([0, 0.99])('words that a server put off for a moment are sent, whatever chance (%d) adds to it', async (chance) => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  world.chance = () => chance
  server.refuse = { code: 'server.unavailable', message: '', temporary: true, retry_after: 2 }
  const word = live.outbox.word()
  world.pass(900)
  const { entry } = live.outbox.do(ROOM, 'say', { text: '12' }, word)
  server.refuse = null
  world.pass(4_000)
  expect(entry.state).toBe('confirmed')
})

test('what nobody has said to be safe does not happen more than five minutes later', async () => {
  const world = new World()
  const server = shop(world)
  const live = start(world)
  world.onOpen = null
  world.socket.end(1006)
  const early = live.outbox.do(ROOM, 'stock.adjust', { delta: 5 })
  const own = live.outbox.do(ROOM, 'claim.cancel')
  const words = live.outbox.do(ROOM, 'message.send', { text: 'not lost' })
  const newer = live.outbox.do(ROOM, 'something.new')
  world.pass(280_000)
  const late = live.outbox.do(ROOM, 'stock.adjust', { delta: 7 })
  world.pass(25_000)
  world.onOpen = (s) => s.say(hello(world))
  world.pass(60_000)
  await expect(early.result).rejects.toMatchObject({ code: 'outbox.late' })
  await expect(newer.result).rejects.toMatchObject({ code: 'outbox.late' })
  expect([own, words, late].map((c) => c.entry.state)).toEqual(['confirmed', 'confirmed', 'confirmed'])
  expect(server.done.size).toBe(3)
})

test('a busy server does not stretch that', async () => {
  const world = new World()
  const server = shop(world)
  server.refuse = { code: 'server.busy', message: '', temporary: true, retry_after: 20 }
  const live = start(world)
  const staff = live.outbox.do(ROOM, 'stock.adjust', { delta: 5 })
  const words = live.outbox.do(ROOM, 'message.delete')
  world.pass(400_000)
  expect(staff.entry).toMatchObject({ state: 'refused', error: { code: 'outbox.late' } })
  server.refuse = null
  world.pass(60_000)
  expect(words.entry.state).toBe('confirmed')
  expect(server.done.size).toBe(1)
})
