/**
 * A room as a pure function of what the server has said: `fromSnapshot`, then `reduce` for every event in order and
 * `withValues` for latest values. Snapshot + later events equals a fresh snapshot, for every role; the server's tests
 * compare the two. Nothing here knows a socket, a clock or a page.
 */
import type { EventsFrame, Id, Latest, LogEvent, Message, Mine, Offer, RoomSnapshot, Sale, Stock } from './types'

export type RoomState = RoomSnapshot

/** Rows of chat that are kept. A fresh snapshot brings the last 50. */
export const MESSAGES_KEPT = 150
export const MESSAGES_IN_SNAPSHOT = 50

export function fromSnapshot(snapshot: RoomSnapshot): RoomState {
  return snapshot
}

export function stockOf(state: RoomState, offer: Id): Stock | null {
  return (state.latest[`stock:${offer}`]?.[1] as Stock | undefined) ?? null
}

/** The higher version of each value wins, whatever arrives first. */
export function withValues(state: RoomState, values: Latest): RoomState {
  let latest = state.latest
  for (const [key, pair] of Object.entries(values)) {
    const known = latest[key]
    if (known && known[0] >= pair[0]) continue
    if (latest === state.latest) latest = { ...latest }
    latest[key] = pair
  }
  return latest === state.latest ? state : { ...state, latest }
}

export type Applied = { state: RoomState; gap: boolean; fresh: LogEvent[] }

/** Apply an `events` frame: what is known already is skipped; a hole or another epoch is a gap, and nothing is applied. */
export function withFrame(state: RoomState, frame: EventsFrame): Applied {
  if (frame.epoch !== state.epoch || frame.first > state.seq + 1) return { state, gap: true, fresh: [] }
  const fresh = frame.events.filter((event) => event.seq > state.seq)
  let next = state
  for (const event of fresh) next = reduce(next, event)
  if (frame.last > next.seq) next = { ...next, seq: frame.last }
  return { state: next, gap: false, fresh }
}

export function reduce(state: RoomState, event: LogEvent): RoomState {
  if (event.seq <= state.seq) return state
  const change = CHANGES[event.kind]
  const next = change ? change(state, event.body, event) : state
  return { ...next, seq: event.seq }
}

// --- pieces -----------------------------------------------------------------------------------------------------

type Body = Record<string, any>
type Change = (state: RoomState, body: Body, event: LogEvent) => RoomState

const inPublic = (state: RoomState, part: Partial<RoomState['public']>): RoomState => ({
  ...state,
  public: { ...state.public, ...part },
})

const inPersonal = (state: RoomState, part: Partial<RoomState['personal']>): RoomState => ({
  ...state,
  personal: { ...state.personal, ...part },
})

const inMine = (state: RoomState, part: Partial<Mine>): RoomState =>
  inPersonal(state, { mine: { ...state.personal.mine, ...part } })

const inStaff = (state: RoomState, change: (staff: NonNullable<RoomState['personal']['staff']>) => object): RoomState => {
  const staff = state.personal.staff
  return staff ? inPersonal(state, { staff: { ...staff, ...change(staff) } }) : state
}

const inSale = (state: RoomState, change: (sale: Sale) => Partial<Sale>): RoomState => {
  const sale = state.public.sale
  return sale ? inPublic(state, { sale: { ...sale, ...change(sale) } }) : state
}

const isMe = (state: RoomState, person: Id) => state.personal.me.person === person

function put<T>(rows: T[], row: T, same: (a: T) => boolean): T[] {
  const at = rows.findIndex(same)
  return at < 0 ? [...rows, row] : rows.with(at, row)
}

const erased = (message: Message): Message =>
  message.deleted ? message : { ...message, text: '', deleted: true }

function withoutMessages(state: RoomState, gone: (message: Message) => boolean): RoomState {
  const ids = new Set(state.public.messages.filter(gone).map((m) => m.message))
  return inPublic(state, {
    messages: state.public.messages.map((m) => (ids.has(m.message) ? erased(m) : m)),
    pins: state.public.pins.filter((pin) => !ids.has(pin.message)),
  })
}

const byPosition = (a: Offer, b: Offer) => a.position - b.position

const withOffer = (state: RoomState, offer: Offer): RoomState =>
  inSale(state, (sale) => ({
    offers: put(sale.offers, offer, (o) => o.offer === offer.offer).toSorted(byPosition),
  }))

/** What a basket shows of a line: only those that still mean something to the buyer. */
const LIVE_LINES = new Set(['held', 'paid'])

const withLine = (state: RoomState, line: any): RoomState => {
  const { lines, orders } = state.personal.mine
  const rest = lines.filter((l) => l.line !== line.line)
  return inMine(state, {
    lines: LIVE_LINES.has(line.state) ? put(lines, line, (l) => l.line === line.line) : rest,
    orders: orders.map((order) =>
      order.lines.some((l) => l.line === line.line)
        ? { ...order, lines: order.lines.map((l) => (l.line === line.line ? line : l)) }
        : order,
    ),
  })
}

const CHANGES: Record<string, Change> = {
  'message.sent': (state, body) => {
    const known = state.public.messages
    if (known.some((m) => m.message === body.message)) return state
    return inPublic(state, { messages: [...known, body as Message].slice(-MESSAGES_KEPT) })
  },
  'message.deleted': (state, body) => withoutMessages(state, (m) => m.message === body.message),
  'message.pinned': (state, body) =>
    inPublic(state, {
      pins: put(
        state.public.pins,
        { message: body.message, text: body.text, name: body.name },
        (p) => p.message === body.message,
      ),
    }),
  'message.unpinned': (state, body) =>
    inPublic(state, { pins: state.public.pins.filter((p) => p.message !== body.message) }),
  'message.reported': (state, body) =>
    inStaff(state, (staff) => ({ reports: put(staff.reports, body as any, (r) => r.message === body.message) })),

  'room.configured': (state, body) => inPublic(state, { room: { ...state.public.room, ...body } }),
  'room.announced': (state, body) =>
    inPublic(state, {
      room: { ...state.public.room, announcement: body.text ? { text: body.text, at: body.at } : null },
    }),
  'room.archived': (state) => inPublic(state, { room: { ...state.public.room, archived: true } }),

  'member.appointed': (state, body) =>
    isMe(state, body.person)
      ? inPersonal(state, { me: { ...state.personal.me, role: body.role, ...(body.permissions && { permissions: body.permissions }) } })
      : state,
  'member.timed_out': (state, body) => {
    const next = isMe(state, body.person)
      ? inPersonal(state, { me: { ...state.personal.me, muted_until: body.until } })
      : state
    return inStaff(next, (staff) => ({
      sanctions: put(staff.sanctions, { kind: 'timeout', ...body } as any, (s) => s.person === body.person && s.kind !== 'ban'),
    }))
  },
  'member.banned': (state, body) =>
    inStaff(state, (staff) => ({
      sanctions: put(staff.sanctions, { kind: 'ban', ...body } as any, (s) => s.person === body.person && s.kind === 'ban'),
    })),
  'member.unbanned': (state, body) => {
    const next = isMe(state, body.person)
      ? inPersonal(state, { me: { ...state.personal.me, muted_until: null } })
      : state
    return inStaff(next, (staff) => ({ sanctions: staff.sanctions.filter((s) => s.person !== body.person) }))
  },
  'member.cleared': (state, body) => withoutMessages(state, (m) => m.person === body.person),

  'sale.changed': (state, body) =>
    inPublic(state, { sale: { ...(body as Sale), offers: state.public.sale?.offers ?? [] } }),
  'offer.added': (state, body) => withOffer(state, (body.offer?.offer ? body.offer : body) as Offer),
  'offer.changed': (state, body) => withOffer(state, (body.offer?.offer ? body.offer : body) as Offer),
  'offer.removed': (state, body) =>
    inSale(state, (sale) => ({
      offers: sale.offers.filter((o) => o.offer !== body.offer),
      featured: sale.featured === body.offer ? null : sale.featured,
    })),
  'offer.reordered': (state, body) =>
    inSale(state, (sale) => {
      const places = new Map((body.offers as Id[]).map((id, i) => [id, i]))
      return {
        offers: sale.offers
          .map((o) => (places.has(o.offer) ? { ...o, position: places.get(o.offer)! } : o))
          .toSorted(byPosition),
      }
    }),
  'offer.featured': (state, body) => inSale(state, () => ({ featured: body.offer ?? null })),
  'offer.claimed': (state, body) => {
    const { free, held, sold, waiting } = body
    return withValues(state, { [`stock:${body.offer}`]: [body.version, { free, held, sold, waiting }] })
  },

  'line.changed': withLine,
  'turn.offered': withLine,
  'wait.changed': (state, body) => {
    const { waiting } = state.personal.mine
    return inMine(state, {
      waiting:
        body.state === 'waiting'
          ? put(waiting, body as any, (w) => w.waiting === body.waiting)
          : waiting.filter((w) => w.waiting !== body.waiting),
    })
  },
  'order.changed': (state, body) =>
    inMine(state, { orders: put(state.personal.mine.orders, body as any, (o) => o.order === body.order) }),
}

/** Replace what is known about one's own holds, places and orders, as far as they belong to this room. */
export function withMine(state: RoomState, panel: Mine): RoomState {
  const orders = panel.orders.filter((o) => o.stream === state.stream)
  const ids = new Set(orders.map((o) => o.order))
  const offers = new Set(state.public.sale?.offers.map((o) => o.offer))
  return inMine(state, {
    orders,
    lines: panel.lines.filter((l) => ids.has(l.order)),
    waiting: panel.waiting.filter((w) => offers.has(w.offer)),
  })
}
