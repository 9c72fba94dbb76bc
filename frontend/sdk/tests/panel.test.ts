import { expect, test } from 'vitest'
import { Rest } from '../rest'
import { hello, makeLive, memory, ROOM, snapshot, World } from './fake'

const ORDER = { order: '018f0000-0000-7000-8000-0000000000aa', stream: ROOM, lines: [], waiting: [] }

/** A signed-in page in a room, with orders or without, and how often it has read its panel. */
async function page(orders: object[]) {
  const world = new World()
  const read: string[] = []
  const rest = new Rest({
    fetch: async (input) => {
      read.push(String(input))
      return new Response(JSON.stringify({ orders }), { status: 200 })
    },
  })
  const joined = snapshot()
  joined.personal.orders = orders as any
  world.onOpen = (socket) => socket.say(hello(world))
  world.onFrame = (frame, socket) => {
    if (frame.type !== 'join') return
    const mode = frame.streams[0].after === undefined ? 'resync' : 'replay'
    socket.say({ type: 'joined', stream: ROOM, mode, epoch: 1, seq: 5, snapshot: mode === 'resync' ? joined : null })
  }
  const live = makeLive(world, memory(), memory(), rest)
  live.follow(ROOM)
  live.start()
  await world.settle(20_000)
  return { world, read, live }
}

test('a ring reads the panel once, however often it comes', async () => {
  const { world, read } = await page([])
  expect(read).toEqual([])
  for (let i = 0; i < 5; i++) world.socket.say({ type: 'panel', time: 1 })
  await world.settle(2_000)
  expect(read.filter((url) => url.includes('me/panel/'))).toHaveLength(1)
})

test('who has orders reads them again after a lost link: a ring may have been missed', async () => {
  const { world, read } = await page([ORDER])
  expect(read).toEqual([])
  world.socket.end(1006)
  await world.settle(40_000)
  expect(read.filter((url) => url.includes('me/panel/'))).toHaveLength(1)
})

test('not all at once', async () => {
  const delays: number[] = []
  for (let i = 0; i < 200; i++) {
    const { world, read } = await page([ORDER])
    world.socket.end(1006)
    const began = world.now
    while (!read.length) await world.settle(250)
    delays.push(world.now - began)
  }
  expect(delays.filter((d) => d < 3_000).length).toBeLessThan(60)
  expect(delays.filter((d) => d > 7_000).length).toBeGreaterThan(30)
})

test('who has none asks for nothing', async () => {
  const { world, read } = await page([])
  world.socket.end(1006)
  await world.settle(40_000)
  expect(read).toEqual([])
})

test('a ring after the link is back does not wait for the spread', async () => {
  const { world, read } = await page([ORDER])
  world.chance = () => 0.99
  world.socket.end(1006)
  while (world.sockets.length < 2) await world.settle(100)
  await world.settle(100)
  world.socket.say({ type: 'panel', time: 1 })
  await world.settle(1_000)
  expect(read).toHaveLength(1)
  await world.settle(20_000)
  expect(read).toHaveLength(1)
})

/** A page whose panel is answered when the test says so, with what the server knew when it was asked. */
async function slowPanel() {
  const world = new World()
  const questions: ((orders: object[]) => void)[] = []
  const rest = new Rest({
    fetch: () => new Promise((answer) => questions.push((orders) => answer(new Response(JSON.stringify({ orders }), { status: 200 })))),
  })
  world.onOpen = (socket) => socket.say(hello(world))
  world.onFrame = (frame, socket) => {
    if (frame.type === 'join') socket.say({ type: 'joined', stream: ROOM, mode: 'resync', epoch: 1, seq: 5, snapshot: snapshot() })
  }
  const live = makeLive(world, memory(), memory(), rest)
  live.follow(ROOM)
  live.start()
  await world.settle(20_000)
  const told: number[] = []
  live.on('panel', (panel) => told.push(panel.orders.length))
  const orders = () => live.follow(ROOM).state!.orders.map((o) => o.order)
  const answer = async (list: object[]) => {
    questions.at(-1)!(list)
    for (let i = 0; i < 5; i++) await new Promise((r) => setImmediate(r))
  }
  return { world, live, questions, orders, answer, told }
}
const event = (seq: number, kind: string, body: object) => ({
  type: 'events', stream: ROOM, epoch: 1, first: seq, last: seq, events: [{ seq, kind, at: 1, body }],
})

test('an answer that is older than what was heard meanwhile is not taken; the next one is', async () => {
  const { world, questions, orders, answer, told } = await slowPanel()
  world.socket.say({ type: 'panel', time: 1 })
  await world.settle(1_000)
  world.socket.say(event(6, 'order.changed', ORDER))
  await answer([])
  expect(orders()).toEqual([ORDER.order])
  expect(told).toEqual([])
  await world.settle(1_000)
  expect(questions).toHaveLength(2)
  await answer([ORDER])
  expect(orders()).toEqual([ORDER.order])
  expect(told).toEqual([1])
  await world.settle(20_000)
  expect(questions).toHaveLength(2)
})

test('what else happens in the room does not make it old', async () => {
  const { world, questions, orders, answer } = await slowPanel()
  world.socket.say({ type: 'panel', time: 1 })
  await world.settle(1_000)
  world.socket.say(event(6, 'message.sent', { message: 'm', text: 'x' }))
  await answer([ORDER])
  expect(orders()).toEqual([ORDER.order])
  await world.settle(20_000)
  expect(questions).toHaveLength(1)
})

test('one question at a time; a ring during it is one more afterwards', async () => {
  const { world, questions, answer } = await slowPanel()
  for (let i = 0; i < 4; i++) {
    world.socket.say({ type: 'panel', time: i })
    await world.settle(2_000)
  }
  expect(questions).toHaveLength(1)
  await answer([ORDER])
  await world.settle(2_000)
  expect(questions).toHaveLength(2)
  await answer([ORDER])
  await world.settle(20_000)
  expect(questions).toHaveLength(2)
})

test('what was asked by one person is not shown to another', async () => {
  const { world, live, orders, answer, told } = await slowPanel()
  world.socket.say({ type: 'panel', time: 1 })
  await world.settle(1_000)
  world.onOpen = (s) => s.say(hello(world, null))
  live.signedInOrOut()
  await world.settle(1_000)
  await answer([ORDER])
  expect(orders()).toEqual([])
  expect(told).toEqual([])
})
