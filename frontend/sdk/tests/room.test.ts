import { describe, expect, test } from 'vitest'
import { fromSnapshot, heldLines, MESSAGES_KEPT, reduce, stockOf, withFrame, withValues } from '../room'
import type { LogEvent, Offer } from '../types'
import { ME, ROOM, snapshot } from './fake'

const room = (...args: Parameters<typeof snapshot>) => fromSnapshot(snapshot(...args))

const sale = (offers: Partial<Offer>[] = []) => ({
  sale: 'x',
  title: 'T',
  state: 'live' as const,
  starts_at: null,
  started_at: null,
  ended_at: null,
  hold_seconds: 600,
  extension_seconds: 300,
  max_unpaid_units: 10,
  video: null,
  featured: null,
  offers: offers as Offer[],
})

function run(state: any, ...events: [string, object][]) {
  return events.reduce((s, [kind, body], i) => reduce(s, { seq: state.seq + i + 1, kind, at: 0, body }), state)
}

const message = (id: string, person = 'p', text = id) => ({ message: id, person, name: 'P', role: 'member', text, reply_to: null, at: 1 })

describe('frames', () => {
  const event = (seq: number): LogEvent => ({ seq, kind: 'message.sent', at: 1, body: message(`m${seq}`) })
  const frame = (first: number, last: number, events: LogEvent[], epoch = 1) =>
    ({ type: 'events' as const, stream: ROOM, epoch, first, last, events })

  test('what is withheld is not a gap', () => {
    const { state, gap } = withFrame(room(5), frame(6, 9, [event(8)]))
    expect(gap).toBe(false)
    expect(state.seq).toBe(9)
    expect(state.messages.length).toBe(1)
  })
  test('what is known already is skipped', () => {
    const once = withFrame(room(5), frame(6, 7, [event(6), event(7)])).state
    const { state, fresh } = withFrame(once, frame(7, 8, [event(7), event(8)]))
    expect(fresh.map((e) => e.seq)).toEqual([8])
    expect(state.messages.map((m) => m.message)).toEqual(['m6', 'm7', 'm8'])
  })
  test('a hole or another epoch is a gap and changes nothing', () => {
    const start = room(5)
    expect(withFrame(start, frame(7, 7, [event(7)]))).toMatchObject({ gap: true, state: start })
    expect(withFrame(start, frame(6, 6, [event(6)], 2)).gap).toBe(true)
  })
  test('an unknown kind only moves the position', () => {
    const next = reduce(room(5), { seq: 6, kind: 'auction.opened', at: 0, body: {} })
    expect(next).toEqual({ ...room(5), seq: 6 })
  })
})

describe('words', () => {
  test('messages come in order, and only the last are kept', () => {
    let state: any = room(0)
    for (let i = 0; i < 400; i++) state = run(state, ['message.sent', message(`m${i}`)])
    expect(state.messages.length).toBe(MESSAGES_KEPT)
    expect(state.messages.at(-1).message).toBe('m399')
  })
  test('a deleted message leaves no text and no pin', () => {
    const state = run(room(),
      ['message.sent', message('a', 'p', 'secret')],
      ['message.pinned', { message: 'a', text: 'secret', name: 'P' }],
      ['message.deleted', { message: 'a' }])
    expect(state.messages[0]).toMatchObject({ deleted: true, text: '' })
    expect(state.pins).toEqual([])
    expect(JSON.stringify(state)).not.toContain('secret')
  })
  test('clearing takes everything by one person, and nobody else', () => {
    const state = run(room(), ['message.sent', message('a', 'p')], ['message.sent', message('b', 'q')], ['member.cleared', { person: 'p' }])
    expect(state.messages.map((m: any) => !!m.deleted)).toEqual([true, false])
  })
  test('deleting settles reports; sanctions are the staff\'s to see', () => {
    const staff: any = { ...room(), me: { ...room().me, role: 'moderator' } }
    let state = run(staff, ['message.sent', message('a', 'p')], ['message.reported', { message: 'a', person: 'p', reports: 2 }],
      ['member.banned', { person: 'p', everywhere: false }])
    expect(state.reports).toEqual([{ message: 'a', person: 'p', reports: 2 }])
    expect(state.sanctions).toEqual([{ person: 'p', name: 'P', kind: 'ban', until: null, everywhere: false }])
    state = run(state, ['message.deleted', { message: 'a' }], ['member.unbanned', { person: 'p', everywhere: false }])
    expect(state).toMatchObject({ reports: [], sanctions: [] })
  })
  test('a time-out is mine only if it is mine', () => {
    expect(run(room(), ['member.timed_out', { person: 'q', until: 9 }]).me.muted_until).toBe(null)
    expect(run(room(), ['member.timed_out', { person: ME, until: 9 }]).me.muted_until).toBe(9)
  })
})

describe('the sale', () => {
  test('a changed sale keeps its offers; offers keep their order', () => {
    const start = room(5, { sale: sale([{ offer: 'a', position: 1 }, { offer: 'b', position: 2 }]) })
    const { offers, ...bare } = sale()
    void offers
    const state = run(start,
      ['sale.changed', { ...bare, state: 'paused' }],
      ['offer.added', { offer: 'c', position: 0 }],
      ['offer.featured', { offer: 'b' }],
      ['offer.removed', { offer: 'b' }])
    expect(state.sale.state).toBe('paused')
    expect(state.sale.offers.map((o: any) => o.offer)).toEqual(['c', 'a'])
    expect(state.sale.featured).toBe(null)
  })
  test('the higher version of a stock count wins, from whichever lane', () => {
    let state = run(room(), ['offer.claimed', { offer: 'a', sold_now: 1, free: 3, held: 1, sold: 0, waiting: 0, version: 7, names: [] }])
    state = withValues(state, { 'stock:a': [6, { free: 9, held: 0, sold: 0, waiting: 0 }] })
    expect(stockOf(state, 'a')?.free).toBe(3)
    state = withValues(state, { 'stock:a': [8, { free: 1, held: 3, sold: 0, waiting: 0 }] })
    expect(stockOf(state, 'a')?.free).toBe(1)
    expect(withValues(state, { 'stock:a': [8, 0] })).toBe(state)
  })
})

describe('orders', () => {
  const order = { order: 'o', stream: ROOM, lines: [{ line: 'l', state: 'held' }], waiting: [] }
  test('a changed order replaces the one that is known; a new one comes first', () => {
    const state = run(room(), ['order.changed', order], ['order.changed', { ...order, order: 'p' }], ['order.changed', { ...order, state: 'paid' }])
    expect(state.orders.map((o: any) => [o.order, o.state])).toEqual([['p', undefined], ['o', 'paid']])
    expect(heldLines(state.orders).length).toBe(2)
  })
  test('a claim that is answered is in the basket at once', () => {
    const claim = { offer: 'a', order: 'o', title: 'Shirt M', qty: 3, got: 2, waiting: 1, missed: 0, unit_price_minor: 500, currency: 'EUR', line: 'l', hold_until: 99, wait: 'w', place: 1 }
    const state = run(room(), ['claim.answered', claim], ['claim.answered', claim], ['claim.answered', { ...claim, got: 1, waiting: 0, line: 'm', wait: null, hold_until: 120 }])
    expect(state.orders).toMatchObject([{ order: 'o', state: 'open', total_minor: 1500, hold_until: 99, lines: [{ qty: 2 }, { qty: 1 }], waiting: [{ place: 1 }] }])
  })
  test('the reducer is pure', () => {
    const start = room(5, { messages: [message('a')], sale: sale([{ offer: 'a', position: 1 }]) })
    const before = JSON.stringify(start)
    run(start, ['message.deleted', { message: 'a' }], ['offer.removed', { offer: 'a' }], ['order.changed', order], ['room.changed', { name: 'x' }])
    expect(JSON.stringify(start)).toBe(before)
  })
})
