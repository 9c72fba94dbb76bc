import { describe, expect, test } from 'vitest'
import type { Entry } from '../outbox'
import { hello, makeLive, ME, memory, ROOM, World } from './fake'
import { shop, start, states } from './shop'

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
