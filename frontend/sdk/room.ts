/**
 * A room as a pure function of what the server has said: `fromSnapshot`, then `reduce` for every event in order and
 * `withValues` for latest values. Snapshot + later events equals a fresh snapshot, for every role; the server's tests
 * compare the two. Nothing here knows a socket, a clock or a page.
 */
import type {
  EventsFrame, Figures, Id, Latest, Line, LogEvent, Me, Message, Mine, Offer, Order, Pin, Report, Room, Sale, Sanction,
  Snapshot, Stock, Wait,
} from './types'

export interface RoomState {
  stream: Id
  kind: string
  epoch: number
  seq: number
  latest: Latest
  room: Room
  messages: Message[]
  pins: Pin[]
  sale: Sale | null
  me: Me
  mine: Mine
  figures: Figures | null
  reports: Report[]
  sanctions: Sanction[]
}

/** Rows of chat that are kept. A fresh snapshot brings the last 50. */
export const MESSAGES_KEPT = 150
export const MESSAGES_IN_SNAPSHOT = 50

/** Whether a part is for everyone or for one reader makes no difference here. */
export function fromSnapshot(snapshot: Snapshot): RoomState {
  const { stream, kind, epoch, seq, latest } = snapshot
  const { staff, ...personal } = snapshot.personal ?? {}
  return {
    messages: [],
    pins: [],
    sale: null,
    figures: null,
    reports: [],
    sanctions: [],
    me: { person: null, role: 'guest', permissions: [], muted_until: null },
    mine: { lines: [], waiting: [], orders: [] },
    ...(snapshot.public as { room: Room }),
    ...personal,
    ...staff,
    stream,
    kind,
    epoch,
    seq,
    latest: latest ?? {},
  }
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
  const next = change ? change(state, event.body) : state
  return { ...next, seq: event.seq }
}

// --- pieces -----------------------------------------------------------------------------------------------------

type Body = Record<string, any>
type Change = (state: RoomState, body: Body) => RoomState

const inMine = (state: RoomState, part: Partial<Mine>): RoomState => ({ ...state, mine: { ...state.mine, ...part } })

const inSale = (state: RoomState, change: (sale: Sale) => Partial<Sale>): RoomState =>
  state.sale ? { ...state, sale: { ...state.sale, ...change(state.sale) } } : state

const isMe = (state: RoomState, person: Id) => state.me.person === person

const STAFF = new Set(['owner', 'host', 'moderator'])
export const isStaff = (state: RoomState) => STAFF.has(state.me.role)

function put<T>(rows: T[], row: T, same: (a: T) => boolean): T[] {
  const at = rows.findIndex(same)
  return at < 0 ? [...rows, row] : rows.with(at, row)
}

const erased = (message: Message): Message => ({ ...message, text: '', deleted: true })

function withoutMessages(state: RoomState, gone: (row: { message: Id; person?: Id }) => boolean): RoomState {
  const messages = state.messages.map((m) => (gone(m) ? erased(m) : m))
  const ids = new Set(messages.filter((m) => m.deleted).map((m) => m.message))
  return {
    ...state,
    messages,
    pins: state.pins.filter((pin) => !ids.has(pin.message) && !gone({ message: pin.message })),
    reports: state.reports.filter((report) => !gone(report)),
  }
}

const nameOf = (state: RoomState, person: Id) => state.messages.findLast((m) => m.person === person)?.name ?? ''

/** Whoever is not staff hears only of a sanction against themselves, and keeps no list. */
function sanctioned(state: RoomState, body: Body, kind: Sanction['kind']): RoomState {
  if (!isStaff(state)) return state
  const { person, until = null, everywhere = false, name = nameOf(state, person) } = body
  const rest = state.sanctions.filter((s) => !(s.person === person && s.kind === kind && s.everywhere === everywhere))
  return { ...state, sanctions: [{ person, name, kind, until, everywhere }, ...rest] }
}

const byPosition = (a: Offer, b: Offer) => a.position - b.position

const withOffer: Change = (state, offer) =>
  inSale(state, (sale) => ({
    offers: put(sale.offers, offer as Offer, (o) => o.offer === offer.offer).toSorted(byPosition),
  }))

/** The basket holds what is set aside; what became of the rest is told by its order. */
const withLine: Change = (state, body) => {
  const line = body as Line
  const same = (l: Line) => l.line === line.line
  const { lines, orders } = state.mine
  return inMine(state, {
    lines: line.state === 'held' ? put(lines, line, same) : lines.filter((l) => !same(l)),
    orders: orders.map((o) => (o.lines.some(same) ? { ...o, lines: put(o.lines, line, same) } : o)),
  })
}

const CHANGES: Record<string, Change> = {
  'message.sent': (state, body) =>
    state.messages.some((m) => m.message === body.message)
      ? state
      : { ...state, messages: [...state.messages, body as Message].slice(-MESSAGES_KEPT) },
  'message.deleted': (state, body) => withoutMessages(state, (m) => m.message === body.message),
  'message.pinned': (state, { message, text, name }) => ({
    ...state,
    pins: [{ message, text, name }, ...state.pins.filter((p) => p.message !== message)],
  }),
  'message.unpinned': (state, body) => ({ ...state, pins: state.pins.filter((p) => p.message !== body.message) }),
  'message.reported': (state, { message, person, reports }) => ({
    ...state,
    reports: put(state.reports, { message, person, reports }, (r) => r.message === message),
  }),

  'room.changed': (state, body) => ({ ...state, room: { ...state.room, ...body } }),

  'member.appointed': (state, body) =>
    isMe(state, body.person) ? { ...state, me: { ...state.me, role: body.role } } : state,
  'member.timed_out': (state, body) =>
    sanctioned(isMe(state, body.person) ? { ...state, me: { ...state.me, muted_until: body.until } } : state, body, 'timeout'),
  'member.banned': (state, body) => sanctioned(state, body, 'ban'),
  'member.hidden': (state, body) => sanctioned(state, body, 'hide'),
  'member.unbanned': (state, body) => ({
    ...state,
    me: isMe(state, body.person) ? { ...state.me, muted_until: null } : state.me,
    sanctions: state.sanctions.filter((s) => s.person !== body.person || s.everywhere !== (body.everywhere ?? false)),
  }),
  'member.cleared': (state, body) => withoutMessages(state, (m) => m.person === body.person),

  'sale.changed': (state, body) => ({
    ...state,
    // an ended sale is history: a fresh snapshot has none either
    sale: body.state === 'ended' ? null : { ...(body as Sale), offers: state.sale?.sale === body.sale ? state.sale!.offers : [] },
  }),
  'offer.added': withOffer,
  'offer.changed': withOffer,
  'offer.removed': (state, body) =>
    inSale(state, (sale) => ({
      offers: sale.offers.filter((o) => o.offer !== body.offer),
      featured: sale.featured === body.offer ? null : sale.featured,
    })),
  'offer.reordered': (state, body) =>
    inSale(state, (sale) => {
      const places = new Map((body.offers as Id[]).map((id, i) => [id, i]))
      const moved = sale.offers.map((o) => (places.has(o.offer) ? { ...o, position: places.get(o.offer)! } : o))
      return { offers: moved.toSorted(byPosition) }
    }),
  'offer.featured': (state, body) => inSale(state, () => ({ featured: body.offer ?? null })),
  'offer.claimed': (state, { offer, version, free, held, sold, waiting }) =>
    withValues(state, { [`stock:${offer}`]: [version, { free, held, sold, waiting }] }),

  'line.changed': withLine,
  'turn.offered': withLine,
  'wait.changed': (state, body) => {
    const place = body as Wait
    const same = (w: Wait) => w.waiting === place.waiting
    const { waiting } = state.mine
    return inMine(state, {
      waiting: place.state === 'waiting' ? put(waiting, place, same) : waiting.filter((w) => !same(w)),
    })
  },
  'order.changed': (state, body) =>
    inMine(state, { orders: put(state.mine.orders, body as Order, (o) => o.order === body.order) }),
}

/** Replace what is known about one's own holds, places and orders, as far as they belong to this room. */
export function withMine(state: RoomState, panel: Mine): RoomState {
  const orders = panel.orders.filter((o) => o.stream === state.stream)
  const ids = new Set(orders.map((o) => o.order))
  const offers = new Set(state.sale?.offers.map((o) => o.offer))
  return inMine(state, {
    orders,
    lines: panel.lines.filter((l) => ids.has(l.order)),
    waiting: panel.waiting.filter((w) => offers.has(w.offer)),
  })
}
