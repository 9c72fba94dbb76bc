/**
 * A room as a pure function of what the server has said: `fromSnapshot`, then `reduce` for every event in order and
 * `withValues` for latest values. Snapshot + later events equals a fresh snapshot, for every role; the server's tests
 * compare the two. Nothing here knows a socket, a clock or a page.
 */
import type {
  Claim, EventsFrame, Figures, Id, Latest, Line, LogEvent, Me, Message, Offer, Order, Pin, Product, Report, Room, Sale,
  Sanction, Shop, Snapshot, Stock, Wait,
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
  /** One's own, born in this stream, the newest first. */
  orders: Order[]
  figures: Figures | null
  reports: Report[]
  sanctions: Sanction[]
  /** Of a shop's stream. */
  shop?: Shop
  products?: Product[]
}

/** Rows of chat that are kept. A fresh snapshot brings the last 50. */
export const MESSAGES_KEPT = 150
export const MESSAGES_IN_SNAPSHOT = 50

/** Whether a part is for everyone or for one reader makes no difference here. */
export function fromSnapshot(snapshot: Snapshot): RoomState {
  const { stream, kind, epoch, seq, latest } = snapshot
  return {
    messages: [],
    pins: [],
    sale: null,
    figures: null,
    reports: [],
    sanctions: [],
    me: { person: null, role: 'guest', permissions: [], muted_until: null },
    orders: [],
    ...(snapshot.public as { room: Room }),
    ...snapshot.personal,
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

const inSale = (state: RoomState, change: (sale: Sale) => Partial<Sale>): RoomState =>
  state.sale ? { ...state, sale: { ...state.sale, ...change(state.sale) } } : state

const isMe = (state: RoomState, person: Id) => state.me.person === person

// of a room, and of a shop's own stream, where everybody who works there is staff
const STAFF = new Set(['owner', 'host', 'moderator', 'manager', 'packer'])
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

const withoutStock = (state: RoomState, gone: (key: string) => boolean): RoomState => ({
  ...state,
  latest: Object.fromEntries(Object.entries(state.latest).filter(([key]) => !gone(key))),
})

const byPosition = (a: Offer, b: Offer) => a.position - b.position

const withOffer: Change = (state, offer) =>
  inSale(state, (sale) => ({
    offers: put(sale.offers, offer as Offer, (o) => o.offer === offer.offer).toSorted(byPosition),
  }))

/** A claim's answer says all there is to know: what was got is a new line, what waits a new place. */
function withClaim(state: RoomState, claim: Claim): RoomState {
  const { offer, order: id, title, unit_price_minor, currency, hold_until } = claim
  if (!id) return state
  const known = state.orders.find((o) => o.order === id)
  const order: Order = known ?? {
    order: id, number: null, stream: state.stream, scope: state.sale?.sale ?? state.stream, shop: state.room?.shop ?? state.stream,
    state: 'open', payment_state: 'unpaid', fulfilment_state: 'none', currency, lines: [], waiting: [], adjustments: [],
    total_minor: 0, paid_minor: 0, refunded_minor: 0, delivery_kind: '', delivery_option: null, has_contact: false,
    hold_until: null, attempt: null,
  }
  let { lines, waiting } = order
  if (claim.line && !lines.some((l) => l.line === claim.line)) {
    lines = [...lines, {
      line: claim.line, order: id, offer, title, qty: claim.got, unit_price_minor, currency, state: 'held', turn: false, hold_until,
      extended: false,
    }]
  }
  if (claim.wait && !waiting.some((w) => w.waiting === claim.wait)) {
    waiting = [...waiting, { waiting: claim.wait, order: id, offer, title, qty: claim.waiting, place: claim.place, state: 'waiting' }]
  }
  const live = lines.filter((l) => l.state === 'held' || l.state === 'paid')
  const sums = [...live.map((l) => l.qty * l.unit_price_minor), ...order.adjustments.map((a) => a.amount_minor)]
  const until = live.flatMap((l) => (l.hold_until ? [l.hold_until] : []))
  const changed: Order = {
    ...order, lines, waiting,
    total_minor: live.length ? Math.max(0, sums.reduce((a, b) => a + b, 0)) : 0,
    hold_until: until.length ? Math.min(...until) : null,
  }
  return {
    ...state,
    orders: known ? put(state.orders, changed, (o) => o.order === id) : [changed, ...state.orders],
  }
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

  'reports.settled': (state, body) => ({ ...state, reports: state.reports.filter((r) => r.message !== body.message) }),

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
    ...(body.state === 'ended' ? withoutStock(state, (key) => key.startsWith('stock:')) : state),
    // an ended sale is history: a fresh snapshot has none either
    sale: body.state === 'ended' ? null : { ...(body as Sale), offers: state.sale?.sale === body.sale ? state.sale!.offers : [] },
  }),
  'offer.added': withOffer,
  'offer.changed': withOffer,
  'offer.removed': (state, body) =>
    inSale(withoutStock(state, (key) => key === `stock:${body.offer}`), (sale) => ({
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

  'claim.answered': (state, body) => withClaim(state, body as Claim),
  'order.changed': (state, body) => {
    const known = state.orders.some((o) => o.order === body.order)
    return {
      ...state,
      orders: known ? put(state.orders, body as Order, (o) => o.order === body.order) : [body as Order, ...state.orders],
    }
  },

  'shop.changed': (state, body) => ({ ...state, shop: body as Shop }),
  'product.changed': (state, body) => {
    const rest = (state.products ?? []).filter((p) => p.product !== body.product)
    const products = body.archived ? rest : [...rest, body as Product]
    return { ...state, products: products.toSorted((a, b) => (a.code < b.code ? -1 : a.code > b.code ? 1 : a.product < b.product ? -1 : 1)) }
  },
}

/** Take one's own orders from the panel, as far as they were born here. */
export function withOrders(state: RoomState, orders: Order[]): RoomState {
  return { ...state, orders: orders.filter((o) => o.stream === state.stream) }
}

export const heldLines = (orders: Order[]): Line[] => orders.flatMap((o) => o.lines.filter((l) => l.state === 'held'))
export const waitingPlaces = (orders: Order[]): Wait[] => orders.flatMap((o) => o.waiting)
