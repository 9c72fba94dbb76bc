import { describe, expect, test } from 'vitest'
import { Backoff, CAP_MS, fullJitter } from '../backoff'
import { reactionTo } from '../close-codes'
import { ServerClock } from '../clock'
import { Connection } from '../connection'
import { uuid7, uuid7Time } from '../uuid7'
import { hello, World } from './fake'

const connection = (world: World) => new Connection('ws://x', world, new ServerClock(world))

describe('full jitter', () => {
  test('spreads evenly over the whole window, and the window doubles up to 30 s', () => {
    for (const [failures, ceiling] of [[0, 500], [1, 1_000], [4, 8_000], [6, CAP_MS], [40, CAP_MS]] as const) {
      const delays = Array.from({ length: 4_000 }, () => fullJitter(failures, Math.random))
      const mean = delays.reduce((a, b) => a + b) / delays.length
      expect(Math.min(...delays)).toBeLessThan(ceiling * 0.02)
      expect(Math.max(...delays)).toBeGreaterThan(ceiling * 0.98)
      expect(Math.max(...delays)).toBeLessThanOrEqual(ceiling)
      expect(mean / ceiling).toBeGreaterThan(0.47)
      expect(mean / ceiling).toBeLessThan(0.53)
      for (let tenth = 0; tenth < 10; tenth++) {
        const inside = delays.filter((d) => d >= (ceiling * tenth) / 10 && d < (ceiling * (tenth + 1)) / 10)
        expect(inside.length).toBeGreaterThan(300)
        expect(inside.length).toBeLessThan(500)
      }
    }
  })

  test('the counter is reset only by a link that held', () => {
    const backoff = new Backoff(new World())
    backoff.delay()
    backoff.delay()
    backoff.lost(4_999)
    expect(backoff.failures).toBe(2)
    backoff.lost(5_000)
    expect(backoff.failures).toBe(0)
  })
})

test.each([
  ['accepts, then closes', (w: World) => (w.onOpen = (s) => s.end(1006))],
  ['says hello, then closes', (w: World) => (w.onOpen = (s) => (s.say(hello(w)), s.end(1006)))],
  ['says hello, holds 4 s, then closes', (w: World) =>
    (w.onOpen = (s) => (s.say(hello(w)), w.later(() => s.end(1011), 4_000)))],
])('a server that %s gets fewer than 10 connects in any minute', (_, behave) => {
  for (let run = 0; run < 40; run++) {
    const world = new World()
    behave(world)
    // an unlucky client draws short delays all the time
    if (run < 5) world.chance = () => 0.001
    connection(world).start()
    world.pass(10 * 60_000)
    for (const at of world.connectTimes) {
      expect(world.connectTimes.filter((t) => t >= at && t < at + 60_000).length).toBeLessThan(10)
    }
    expect(world.connectTimes.length).toBeGreaterThan(10)
  }
})

test('the client says which protocol it speaks, beside what the address holds already', () => {
  const world = new World()
  connection(world).start()
  new Connection('wss://x/ws/?shop=1', world, new ServerClock(world)).start()
  expect(world.urls).toEqual(['ws://x?protocol=1', 'wss://x/ws/?shop=1&protocol=1'])
})

describe('close codes', () => {
  test.each([
    [1000, 'backoff'], [1001, 'backoff'], [1006, 'backoff'], [1011, 'backoff'], [1012, 'backoff'],
    [4000, 'resume'], [4001, 'resume'], [4002, 'resume'], [4100, 'wait'],
    [4400, 'stop'], [4401, 'stop'], [4403, 'stop'], [4409, 'stop'], [4426, 'stop'],
  ])('%i means %s', (code, reaction) => expect(reactionTo(code)).toBe(reaction))

  test('a stop is a stop until the person acts', () => {
    const world = new World()
    world.onOpen = (s) => s.say(hello(world))
    const c = connection(world)
    c.start()
    world.pass(20)
    world.socket.end(4401)
    expect(c.status).toMatchObject({ phase: 'stopped', code: 4401 })
    world.pass(600_000)
    world.wake()
    world.pass(600_000)
    expect(world.sockets.length).toBe(1)
    c.start()
    expect(world.sockets.length).toBe(2)
  })

  test('"busy" is waited out as long as the server asked', () => {
    const world = new World()
    world.onOpen = (s) => s.say(hello(world))
    connection(world).start()
    world.pass(10_000)
    world.socket.say({ type: 'bye', code: 4100, reason: 'busy', retry_after: 20 })
    world.socket.end(4100)
    world.pass(19_900)
    expect(world.sockets.length).toBe(1)
    world.pass(1_000)
    expect(world.sockets.length).toBe(2)
  })

  test('a bye is believed where the server cannot send a close code', () => {
    const world = new World()
    world.onOpen = (s) => s.say(hello(world))
    const c = connection(world)
    c.start()
    world.pass(20)
    world.socket.say({ type: 'bye', code: 4409, reason: 'too_many_sockets' })
    world.socket.end(1006)
    expect(c.status.phase).toBe('stopped')
  })
})

describe('a dead link', () => {
  test('silence for 45 s is noticed', () => {
    const world = new World()
    world.onOpen = (s) => s.say(hello(world))
    const c = connection(world)
    c.start()
    world.pass(44_000)
    expect(c.status.phase).toBe('open')
    world.pass(3_000)
    expect(world.sockets.length + (c.status.phase === 'waiting' ? 1 : 0)).toBeGreaterThan(1)
  })

  test('beats keep it alive', () => {
    const world = new World()
    world.onOpen = (s) => {
      s.say(hello(world))
      const beat = () => (s.say({ type: 'beat', time: 1 }), world.later(beat, 20_000))
      beat()
    }
    connection(world).start()
    world.pass(300_000)
    expect(world.sockets.length).toBe(1)
  })

  test('a page in the background, whose timers run once a minute, is heard by answering beats', () => {
    const world = new World()
    const heard: number[] = []
    const soon = world.later.bind(world)
    world.onFrame = () => heard.push(world.now)
    world.onOpen = (s) => {
      s.say(hello(world))
      world.later = (run, milliseconds) => soon(run, Math.max(milliseconds, 60_000))
      const beat = () => (s.say({ type: 'beat', time: 1 }), soon(beat, 20_000))
      soon(beat, 20_000)
    }
    connection(world).start()
    world.pass(600_000)
    const gaps = heard.slice(1).map((at, i) => at - heard[i]!)
    expect(heard.length).toBeGreaterThan(25)
    // the server gives up after 45 s
    expect(Math.max(...gaps)).toBeLessThanOrEqual(25_000)
  })

  test('a woken tab with a dead link has a new one within 3 s', () => {
    for (let run = 0; run < 50; run++) {
      const world = new World()
      world.onOpen = (s) => s.say(hello(world))
      connection(world).start()
      world.pass(20_000)
      world.wake()
      world.pass(3_000)
      expect(world.sockets.length).toBe(2)
    }
  })

  test('waking while waiting connects at once', () => {
    const world = new World()
    world.onOpen = (s) => s.end(1006)
    world.chance = () => 0.9
    connection(world).start()
    world.pass(8_000)
    const before = world.sockets.length
    world.wake()
    expect(world.sockets.length).toBe(before + 1)
  })

  test('sockets that never get through are called blocked', () => {
    const world = new World()
    const c = connection(world)
    c.start()
    world.pass(60_000)
    expect(c.status.blocked).toBe(true)
    world.onOpen = (s) => s.say(hello(world))
    world.pass(60_000)
    expect(c.status).toMatchObject({ phase: 'open', blocked: false })
  })
})

describe('the clock', () => {
  test('is within 250 ms with 400 ms of latency and a device that is an hour off', () => {
    const world = new World()
    const clock = new ServerClock(world)
    // 40 ms there, 360 ms back: the worst split still errs by less than half the round trip
    clock.sample(1_000, 1_400, world.serverAhead + 1_040)
    world.now = 1_400
    expect(Math.abs(clock.now() - world.serverTime)).toBeLessThan(250)
  })

  test('trusts the shortest round trip', () => {
    const world = new World()
    const clock = new ServerClock(world)
    clock.sample(1_000, 1_900, world.serverAhead + 1_890)
    clock.sample(2_000, 2_020, world.serverAhead + 2_010)
    clock.sample(3_000, 3_700, world.serverAhead + 3_010)
    expect(Math.abs(clock.now() - world.serverTime)).toBeLessThan(2)
  })

  test('starts over when monotonic time stood still during sleep', () => {
    const world = new World()
    const clock = new ServerClock(world)
    clock.sample(1_000, 1_010, world.serverAhead + 1_005)
    world.serverAhead += 600_000
    clock.sample(2_000, 2_300, world.serverAhead + 2_150)
    expect(Math.abs(clock.now() - world.serverTime)).toBeLessThan(5)
  })
})

test('uuid7 holds the time, its version and its variant', () => {
  const world = new World()
  const id = uuid7(1_800_000_000_123, world.bytes)
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(uuid7Time(id)).toBe(1_800_000_000_123)
  expect(uuid7(1_800_000_000_123, world.bytes)).not.toBe(id)
})

describe('an app without the cookie', () => {
  const anna = { id: 'p1', name: 'Anna' }
  const app = (world: World, ticket: () => Promise<string>) => {
    const link = new Connection('ws://x', world, new ServerClock(world), ticket)
    const heard: (string | null)[] = []
    link.on('hello', (frame) => heard.push(frame.you?.name ?? null))
    world.onOpen = (socket) => socket.say({ ...hello(world), you: null })
    link.start()
    return { link, heard }
  }

  test('shows a ticket first, the token of the last link afterwards, and a ticket where the token is too old', async () => {
    const world = new World()
    let made = 0
    const { link, heard } = app(world, () => Promise.resolve(`ticket${++made}`))
    const accepted = new Set<string>(['ticket1', 'token2', 'ticket2'])
    world.onFrame = (frame, socket) => {
      if (frame.type !== 'auth') return
      if (accepted.has(frame.ticket ?? frame.resume)) socket.say({ ...hello(world), you: anna, resume: 'token1' })
      else socket.say({ type: 'error', code: 'auth.failed', message: 'no' })
    }
    world.pass(50)
    await Promise.resolve()
    expect(heard).toEqual(['Anna'])
    expect(link.status.phase).toBe('open')

    // a younger token comes with a beat
    world.sockets[0]!.say({ type: 'beat', time: 1, resume: 'token2' })
    world.sockets[0]!.end(1006)
    world.pass(4_000)
    expect(world.sockets[1]!.of('auth')).toEqual([{ type: 'auth', resume: 'token2' }])
    expect(heard).toEqual(['Anna', 'Anna'])

    // its next token is not believed any more
    world.sockets[1]!.end(1006)
    world.pass(4_000)
    await Promise.resolve()
    expect(world.sockets[2]!.of('auth')).toEqual([
      { type: 'auth', resume: 'token1' },
      { type: 'auth', ticket: 'ticket2' },
    ])
    expect(heard).toEqual(['Anna', 'Anna', 'Anna'])

    // all sign-ins were ended: only a new ticket helps
    accepted.add('ticket3')
    world.sockets[2]!.end(4401)
    world.pass(4_000)
    await Promise.resolve()
    expect(world.sockets[3]!.of('auth')).toEqual([{ type: 'auth', ticket: 'ticket3' }])
    expect(link.status.phase).toBe('open')
  })

  test('watches as a guest where no ticket is to be had', async () => {
    const world = new World()
    const { link, heard } = app(world, () => Promise.reject(new Error('the shop is away')))
    world.pass(50)
    await Promise.resolve()
    await Promise.resolve()
    expect(heard).toEqual([null])
    expect(link.status.phase).toBe('open')
  })
})
