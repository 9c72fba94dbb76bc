import { describe, expect, test } from 'vitest'
import type { Entry } from '../outbox'
import { Rest } from '../rest'
import { isStaff } from '../room'
import { hello, makeLive, ME, memory, ROOM, snapshot, World } from './fake'

/** A server that answers joins, and commands unless told to lose the answer. */
function shop(world: World) {
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

function start(world: World, kept = memory(), tab = memory()) {
  const live = makeLive(world, kept, tab)
  live.follow(ROOM)
  live.start()
  world.pass(2_000)
  return live
}

const states = (live: ReturnType<typeof start>) => {
  const seen: string[] = []
  live.outbox.on('change', (e: Entry) => seen.push(e.state))
  return seen
}

describe('a command', () => {
  test('is sent once and confirmed', async () => {
    const world = new World()
    const server = shop(world)
    const live = start(world)
    const answer = await live.do(ROOM, 'claim.place', { offer: 'a', qty: 1 })
    expect(answer).toEqual({ got: 1, of: 'claim.place' })
    expect(server.done.size).toBe(1)
    expect(live.outbox.pending()).toEqual([])
  })

  test('its id carries the time of the server, not of the device', async () => {
    const world = new World()
    const server = shop(world)
    const live = start(world)
    await live.do(ROOM, 'room.archive')
    const id = [...server.done.keys()][0]!
    expect(Math.abs(parseInt(id.slice(0, 8) + id.slice(9, 13), 16) - world.serverTime)).toBeLessThan(1_000)
  })

  test('refused: the id is dropped', async () => {
    const world = new World()
    const server = shop(world)
    server.refuse = { code: 'claim.sold_out', message: 'Sold out' }
    const live = start(world)
    await expect(live.do(ROOM, 'claim.place')).rejects.toMatchObject({ code: 'claim.sold_out' })
    expect(live.outbox.pending()).toEqual([])
    world.pass(60_000)
    expect(world.sockets.flatMap((s) => s.of('do')).length).toBe(1)
  })

  test('refused for now: the same id again after retry_after', async () => {
    const world = new World()
    const server = shop(world)
    server.refuse = { code: 'server.busy', message: '', temporary: true, retry_after: 2 }
    const live = start(world)
    const result = live.do(ROOM, 'claim.place')
    world.pass(1_900)
    expect(world.socket.of('do').length).toBe(1)
    server.refuse = null
    world.pass(1_500)
    expect(await result).toMatchObject({ got: 1 })
    expect(new Set(world.socket.of('do').map((f) => f.id)).size).toBe(1)
    expect(world.socket.of('do').length).toBe(2)
  })

  test('slow mode gives a text back instead of holding it', async () => {
    const world = new World()
    const server = shop(world)
    server.refuse = { code: 'message.slow', message: '', temporary: true, retry_after: 12 }
    const live = start(world)
    await expect(live.do(ROOM, 'say', { text: 'hi' })).rejects.toMatchObject({ refusal: { retryAfter: 12 } })
  })
})

describe('the link is lost', () => {
  test('after the server had done it: asked first, never done twice', async () => {
    const world = new World()
    const server = shop(world)
    const live = start(world)
    const seen = states(live)
    server.mute = true
    const result = live.do(ROOM, 'claim.place')
    world.socket.end(1006)
    expect(seen.at(-1)).toBe('unknown')
    server.mute = false
    world.pass(40_000)
    expect(await result).toMatchObject({ got: 1 })
    expect(server.asked.length).toBe(1)
    expect(world.sockets.flatMap((s) => s.of('do')).length).toBe(1)
    expect(server.done.size).toBe(1)
  })

  test('before it arrived, a moment ago: sent again with the same id', async () => {
    const world = new World()
    const server = shop(world)
    const live = start(world)
    world.pass(10_000)
    world.chance = () => 0.5
    server.deaf = true
    const result = live.do(ROOM, 'claim.place')
    server.deaf = false
    world.socket.end(1006)
    world.pass(5_000)
    expect(await result).toMatchObject({ got: 1 })
    const sent = world.sockets.flatMap((s) => s.of('do'))
    expect(sent.length).toBe(2)
    expect(new Set(sent.map((f) => f.id)).size).toBe(1)
  })

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

  test('only a few texts wait for a link', async () => {
    const world = new World()
    shop(world)
    const live = start(world)
    world.onOpen = null
    world.socket.end(1006)
    for (let i = 0; i < 5; i++) live.do(ROOM, 'say', { text: `${i}` })
    await expect(live.do(ROOM, 'say', { text: '6' })).rejects.toMatchObject({ code: 'outbox.full' })
  })

  test('an answer that does not come on a living link is asked for', async () => {
    const world = new World()
    const server = shop(world)
    const live = start(world)
    server.mute = true
    const result = live.do(ROOM, 'claim.place')
    world.pass(9_000)
    expect(await result).toMatchObject({ got: 1 })
    expect(server.asked.length).toBe(1)
  })
})

describe('a reload', () => {
  test('does not lose the id: the new page asks', async () => {
    const world = new World()
    const server = shop(world)
    const kept = memory()
    const tab = memory()
    const first = start(world, kept, tab)
    server.mute = true
    first.do(ROOM, 'claim.place', { offer: 'a' })
    first.stop()
    server.mute = false
    const id = [...server.done.keys()][0]!
    const second = makeLive(world, kept, tab)
    const settled: Entry[] = []
    second.outbox.on('change', (e) => settled.push({ ...e }))
    second.start()
    world.pass(2_000)
    await world.settle()
    expect(server.asked).toEqual([[id]])
    expect(settled.at(-1)).toMatchObject({ id, state: 'confirmed', answer: { got: 1 } })
    expect(kept.keys().filter((k) => k.startsWith('livesale.do.'))).toEqual([])
  })

  test("does not carry out what another day's page left unsent", () => {
    const world = new World()
    const server = shop(world)
    const kept = memory()
    const row = (id: string, name: string) =>
      kept.setItem(
        `livesale.do.${ME}.${id}`,
        JSON.stringify({ id, stream: ROOM, name, body: {}, at: world.serverTime - 5 * 86_400_000, sent: false, tab: 'gone' }),
      )
    row('1', 'stock.adjust')
    row('2', 'message.delete')
    const live = start(world, kept)
    world.pass(60_000)
    expect([...server.done.keys()]).toEqual(['2'])
    expect(live.outbox.pending()).toEqual([])
    expect(kept.keys().filter((k) => k.startsWith('livesale.do.'))).toEqual([])
  })

  test('leaves the commands of another person and another tab alone', () => {
    const world = new World()
    shop(world)
    const kept = memory()
    const now = world.serverTime
    const row = (id: string, tab: string, at: number) => JSON.stringify({ id, stream: ROOM, name: 'say', body: {}, at, sent: true, tab })
    kept.setItem('livesale.do.someone.x', row('x', 't', now))
    kept.setItem(`livesale.do.${ME}.y`, row('y', 'another tab', now + 10_000_000))
    const live = start(world, kept)
    expect(live.outbox.pending()).toEqual([])
    expect(kept.keys().length).toBe(2)
  })

  test('a payment that had left is not said to be undone because somebody else has signed in', async () => {
    const world = new World()
    const server = shop(world)
    const live = start(world)
    server.deaf = true
    const result = live.do(ROOM, 'order.pay')
    world.onOpen = (s) => s.say(hello(world, { id: 'another', name: 'Bob' }))
    world.socket.end(1006)
    world.pass(3_000)
    await expect(result).rejects.toMatchObject({ code: 'outbox.unsure' })
  })

  test('what somebody else had not settled is over on this page, and theirs again when they are back', async () => {
    const world = new World()
    const server = shop(world)
    const kept = memory()
    const live = start(world, kept)
    server.deaf = true
    const { entry, result } = live.outbox.do(ROOM, 'claim.place', { offer: 'a' })
    const told = states(live)
    world.onOpen = (s) => s.say(hello(world, { id: 'another', name: 'Bob' }))
    world.socket.end(1006)
    world.pass(3_000)
    await expect(result).rejects.toMatchObject({ code: 'outbox.discarded' })
    expect(told).toEqual(['unknown', 'refused'])
    expect(live.outbox.pending()).toEqual([])
    server.deaf = false
    world.onOpen = (s) => s.say(hello(world))
    world.socket.end(1006)
    world.pass(4_000)
    expect([...server.done.keys()]).toEqual([entry.id])
  })

  test('addresses are never written to the device', () => {
    const world = new World()
    const server = shop(world)
    const kept = memory()
    const live = start(world, kept)
    server.deaf = true
    live.do(ROOM, 'order.deliver', { contact: { street: 'Secret Street 1' } })
    expect(JSON.stringify(kept.keys().map((k) => kept.getItem(k)))).not.toContain('Secret')
  })
})

describe('streams', () => {
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
})

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
