import { expect, test } from 'vitest'
import { Rest } from '../rest'
import { stockOf } from '../room'
import { hello, makeLive, ME, memory, ROOM, snapshot, World } from './fake'

/** A server behind a network that lets no socket through. `post` answers commands, or does not. */
async function blocked() {
  const world = new World()
  const server = {
    seq: 5,
    free: [1, 3] as [number, number],
    me: { person: ME as string | null, name: 'Ada' } as { person: string | null; name: string; role?: string },
    personal: {},
    posted: [] as string[],
    asked: [] as string[],
    post: (): Response | Promise<Response> => Response.json({ answer: { got: 1 }, repeated: false }),
  }
  const rest = new Rest({
    fetch: (async (url: string, init: RequestInit) => {
      if (init.method === 'POST') {
        server.posted.push(new Headers(init.headers).get('Idempotency-Key')!)
        return server.post()
      }
      server.asked.push(url)
      if (!url.endsWith('/snapshot/')) return Response.json({ first: server.seq + 1, last: server.seq, events: [] })
      const whole = snapshot(server.seq)
      const latest = { 'stock:f': [server.free[0], { free: server.free[1], held: 0, sold: 0, waiting: 0 }] }
      const personal = { ...whole.personal, ...server.personal, me: { ...whole.personal.me, ...server.me } }
      return Response.json({ ...whole, latest, personal, time: world.serverTime })
    }) as any,
  })
  const live = makeLive(world, memory(), memory(), rest)
  live.follow(ROOM)
  live.start()
  const pass = async (milliseconds: number) => {
    for (let at = 0; at < milliseconds; at += 500) {
      await world.settle(500)
      await new Promise((r) => setImmediate(r))
    }
  }
  await pass(60_000)
  expect(live.polling).toBe(true)
  return { world, live, server, pass }
}

test('where sockets are blocked, REST carries events and commands', async () => {
  const world = new World()
  const calls: { method: string; url: string; key: string | null }[] = []
  const rest = new Rest({
    fetch: (async (url: string, init: RequestInit) => {
      calls.push({ method: init.method!, url, key: new Headers(init.headers).get('Idempotency-Key') })
      if (url.endsWith('/snapshot/')) return Response.json({ ...snapshot(), time: world.serverTime })
      if (url.includes('/events/')) {
        const event = { seq: 6, kind: 'message.sent', at: 1, body: { message: 'm', text: 'x' } }
        return Response.json(url.includes('after=5') ? { first: 6, last: 6, events: [event] } : { first: 7, last: 6, events: [] })
      }
      return Response.json({ answer: { got: 1 }, repeated: false })
    }) as any,
  })
  const live = makeLive(world, memory(), memory(), rest)
  live.follow(ROOM)
  live.start()
  for (let i = 0; i < 200; i++) {
    await world.settle(500)
    await new Promise((r) => setImmediate(r))
  }
  expect(live.polling).toBe(true)
  expect(live.follow(ROOM).state?.seq).toBe(6)
  const answer = await live.do(ROOM, 'claim.place', { offer: 'a' })
  expect(answer).toEqual({ got: 1 })
  expect(calls.at(-1)).toMatchObject({ method: 'POST', url: `/api/v1/streams/${ROOM}/commands/claim.place/` })
  expect(calls.at(-1)!.key).toMatch(/^[0-9a-f-]{36}$/)
  const asked = world.sockets.length
  world.onOpen = (s) => s.say(hello(world))
  await world.settle(60_000)
  expect(world.sockets.length).toBeGreaterThan(asked - 1)
  expect(live.polling).toBe(false)
  live.stop()
})

test('counts of stock and the time go on', async () => {
  const { world, live, server, pass } = await blocked()
  expect(stockOf(live.follow(ROOM).state!, 'f')?.free).toBe(3)
  server.free = [2, 1]
  // the device sleeps
  world.serverAhead += 600_000
  const before = server.asked.length
  await pass(60_000)
  expect(stockOf(live.follow(ROOM).state!, 'f')?.free).toBe(1)
  expect(Math.abs(live.clock.now() - world.serverTime)).toBeLessThan(1_000)
  // seldom: a snapshot is the dearest thing to ask for
  const asked = server.asked.slice(before)
  expect(asked.filter((url) => url.endsWith('/snapshot/')).length).toBeLessThan(asked.length / 5)
  live.stop()
})

test('who signs in is known at the next poll, and has what is theirs', async () => {
  const { live, server, pass } = await blocked()
  server.me = { person: null, name: '' }
  live.signedInOrOut()
  await pass(6_000)
  expect(live.you).toBeNull()
  const told: unknown[] = []
  live.on('you', (you) => told.push(you))
  server.me = { person: ME, name: 'Ada' }
  live.signedInOrOut()
  await pass(6_000)
  expect(live.you).toEqual({ id: ME, name: 'Ada' })
  expect(told).toEqual([{ id: ME, name: 'Ada' }])
  expect(live.follow(ROOM).state!.me.person).toBe(ME)
  live.stop()
})

test('a payment whose answer was lost is posted again with its own id: nobody could say what became of it', async () => {
  const { live, server, pass } = await blocked()
  server.post = () => new Promise((_, lost) => setImmediate(() => lost(new Error('network'))))
  const result = live.do(ROOM, 'order.pay')
  await pass(20_000)
  server.post = () => Response.json({ answer: { done: true }, repeated: true })
  await pass(20_000)
  expect(await result).toEqual({ done: true })
  expect(server.posted.length).toBeGreaterThan(2)
  expect(new Set(server.posted).size).toBe(1)
  live.stop()
})

test('a claim whose answer was lost waits for the word when it is old, here too', async () => {
  const { live, server, pass } = await blocked()
  server.post = () => new Promise((_, lost) => setImmediate(() => lost(new Error('network'))))
  const { entry } = live.outbox.do(ROOM, 'claim.place')
  await pass(20_000)
  expect(entry.state).toBe('stale')
  live.stop()
})

test.each([
  ['order.pay', 'refused'],
  ['claim.place', 'stale'],
])('%s that a busy server put off is not posted by itself when the device slept meanwhile', async (name, state) => {
  const { world, live, server, pass } = await blocked()
  server.post = () => Response.json({ code: 'server.busy', message: '', temporary: true, retry_after: 2 }, { status: 503 })
  const { entry } = live.outbox.do(ROOM, name)
  await pass(1_000)
  expect(entry.state).toBe('sending')
  world.serverAhead += 1_200_000
  server.post = () => Response.json({ answer: { got: 1 }, repeated: false })
  await pass(60_000)
  expect(entry.state).toBe(state)
  expect(server.posted.length).toBe(1)
  live.stop()
})

test('a claim whose answer was lost in sleep waits for the word', async () => {
  const { world, live, server, pass } = await blocked()
  server.post = () => new Promise((_, lost) => setImmediate(() => lost(new Error('network'))))
  const { entry } = live.outbox.do(ROOM, 'claim.place')
  world.serverAhead += 3_600_000
  server.post = () => Response.json({ answer: { got: 1 }, repeated: false })
  await pass(20_000)
  expect(entry.state).toBe('stale')
  expect(server.posted.length).toBe(1)
  live.stop()
})

test('who becomes one of the staff sees what the staff see, and no longer when it is over', async () => {
  const { live, server, pass } = await blocked()
  const reports = () => live.follow(ROOM).state!.reports.length
  server.me = { person: ME, name: 'Ada', role: 'moderator' }
  server.personal = { reports: [{ report: 'r' }] }
  await pass(60_000)
  expect(reports()).toBe(1)
  server.me = { person: ME, name: 'Ada', role: 'member' }
  server.personal = {}
  await pass(60_000)
  expect(reports()).toBe(0)
  live.stop()
})
