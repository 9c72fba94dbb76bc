/** What travels between server and pages. The server's `chat/realtime/protocol.py` and `docs/wire.md` are the source. */

/** The version of the wire that this client speaks. */
export const PROTOCOL = 1

/** A UUID string. */
export type Id = string
/** Unix milliseconds of the server's clock. */
export type Moment = number
/** Whole minor units of a currency: cents, yen, fils. */
export type Minor = number

export interface Person {
  id: Id
  name: string
}

// --- goods and orders -------------------------------------------------------------------------------------------

export interface Stock {
  free: number
  held: number
  sold: number
  waiting: number
}

export interface Picture {
  alt?: string
  [width: string]: string | undefined
}

/** Runs from `opens_at` to `closes_at`; the offer's own price and limit are those of the drop meanwhile. */
export interface Drop {
  opens_at: Moment
  closes_at: Moment
  allotment: number
  full_price_minor: Minor
}

export interface Offer {
  offer: Id
  code: string
  title: string
  label: string
  variant: Id
  product: Id
  image: Picture | null
  price_minor: Minor
  currency: string
  limit: number | null
  waitlist_cap: number
  hold_seconds: number
  position: number
  state: 'queued' | 'open' | 'closed'
  drop: Drop | null
}

export interface Video {
  kind: 'hls' | 'mp4' | 'embed'
  url: string
  poster?: string
}

export interface Sale {
  sale: Id
  title: string
  state: 'scheduled' | 'live' | 'paused' | 'ended'
  starts_at: Moment | null
  started_at: Moment | null
  ended_at: Moment | null
  hold_seconds: number
  extension_seconds: number
  max_unpaid_units: number
  video: Video | null
  featured: Id | null
  offers: Offer[]
}

export interface Line {
  line: Id
  order: Id
  offer: Id
  /** Product and variant, as they were called when it was claimed. */
  title: string
  label?: string
  qty: number
  unit_price_minor: Minor
  currency: string
  state: 'held' | 'paid' | 'cancelled' | 'lapsed' | 'refunded'
  hold_until: Moment | null
  extended: boolean
  /** Offered from the waiting list: take it by paying, or pass it on. */
  turn?: boolean
}

export interface Wait {
  waiting: Id
  order?: Id
  offer: Id
  title: string
  label?: string
  qty: number
  place: number | null
  state: string
}

export interface Attempt {
  attempt: Id
  gateway: string
  state: 'created' | 'pending' | 'succeeded' | 'failed' | 'cancelled' | 'expired'
  method?: string
  url: string | null
  reference: string
  instructions?: string | Record<string, any>
  deadline: Moment | null
  amount_minor: Minor
}

export interface Order {
  order: Id
  number: number | null
  stream: Id
  /** The sale that the basket belongs to, or the shop. */
  scope: Id
  shop: Id
  state: 'open' | 'placed' | 'paid' | 'lapsed' | 'cancelled'
  payment_state: 'unpaid' | 'pending' | 'paid' | 'part_refunded' | 'refunded'
  fulfilment_state: 'none' | 'packed' | 'shipped' | 'ready' | 'handed_over'
  currency: string
  lines: Line[]
  adjustments: { kind: string; label: string; amount_minor: Minor }[]
  total_minor: Minor
  paid_minor: Minor
  refunded_minor: Minor
  waiting: Wait[]
  delivery_kind: '' | 'delivery' | 'pickup'
  delivery_option: Id | null
  has_contact: boolean
  hold_until: Moment | null
  attempt: Attempt | null
}

/** The private answer to a claim. */
export interface Claim {
  got: number
  waiting: number
  place: number | null
  line: Id | null
  wait: Id | null
  order: Id | null
  hold_until: Moment | null
  offer: Id
  title: string
  label?: string
  /** Units that are neither held nor waiting: the line is full. */
  missed?: number
  unit_price_minor: Minor
  currency: string
}

/** Everything that one holds, waits for and has ordered. */
export interface Panel {
  orders: Order[]
}

export interface Delivery {
  option: Id
  kind: 'delivery' | 'pickup'
  label: string
  details: string
  fee_minor: Minor
  free_from_minor: Minor | null
}

export interface Shop {
  id: Id
  name: string
  slug: string
  currency: string
  terms: string
  delivery: Delivery[]
}

export interface Variant {
  variant: Id
  label: string
  sku: string
  price_minor: Minor
  stock: Stock | null
}

export interface Product {
  product: Id
  code: string
  title: string
  description: string
  archived: boolean
  images: Picture[]
  variants: Variant[]
}

// --- people and words -------------------------------------------------------------------------------------------

export type Role = 'owner' | 'host' | 'moderator' | 'member' | 'guest'

export interface Message {
  message: Id
  person: Id
  name: string
  role: Role | string
  text: string
  reply_to: Id | null
  at: Moment
  deleted?: boolean
}

export interface Pin {
  message: Id
  text: string
  name: string
}

export interface Room {
  id: Id
  shop: Id
  kind: 'group' | 'sale'
  name: string
  description: string
  slow_seconds: number
  /** For how long nobody but the staff may say the same again. */
  repeat_seconds: number
  /** Who may send links, and whose addresses are shown as links. */
  links: 'off' | 'staff' | 'everybody'
  locked: boolean
  archived: boolean
  open: boolean
  announcement: { text: string; at: Moment } | null
}

export interface Me {
  person: Id | null
  name?: string
  role: Role
  permissions: string[]
  muted_until: Moment | null
}

export interface Figures {
  orders_paid: number
  orders_placed: number
  units_sold: number
  units_held: number
  revenue_minor: Minor
  unpaid_minor: Minor
  currency: string
  buyers: number
}

export interface Report {
  message: Id
  /** Whose message it is. */
  person: Id
  reports: number
}

export interface Sanction {
  person: Id
  name: string
  kind: 'timeout' | 'ban' | 'hide'
  until: Moment | null
  everywhere: boolean
}

export type Latest = Record<string, [version: number, value: unknown]>

/** What `joined` brings: parts for everyone and parts for this reader, by name. */
export interface Snapshot {
  stream: Id
  kind: string
  epoch: number
  seq: number
  time: Moment
  latest: Latest
  public: Record<string, any>
  personal: Record<string, any>
}

// --- frames -----------------------------------------------------------------------------------------------------

export interface LogEvent {
  seq: number
  kind: string
  at: Moment
  body: Record<string, any>
}

export type Answer = Record<string, any>

export interface Hello {
  type: 'hello'
  protocol: number
  time: Moment
  you?: Person | null
  limits: Record<string, number>
  features: string[]
  resume?: string | null
}

export interface EventsFrame {
  type: 'events'
  stream: Id
  epoch: number
  first: number
  last: number
  events: LogEvent[]
}

export interface ErrorFrame {
  type: 'error'
  code: string
  message: string
  id?: Id | null
  params?: Record<string, any>
  temporary?: boolean
  retry_after?: number | null
}

export type ServerFrame =
  | Hello
  | { type: 'joined'; stream: Id; mode: 'replay' | 'resync'; epoch: number; seq: number; snapshot?: any }
  | { type: 'left'; stream: Id; code: string; message: string }
  | EventsFrame
  | { type: 'values'; stream: Id; values: Latest }
  | { type: 'ack'; id: Id; answer: Answer; repeated?: boolean }
  | ErrorFrame
  | { type: 'told'; answers: Record<Id, Answer | null> }
  | { type: 'pong'; time: Moment; at?: number | null }
  | { type: 'beat'; time: Moment; resume?: string | null }
  | { type: 'panel'; time: Moment }
  | { type: 'bye'; code: number; reason: string; retry_after?: number | null }

export type ClientFrame =
  | { type: 'auth'; ticket?: string; resume?: string }
  | { type: 'join'; streams: { stream: Id; after?: number; epoch?: number; staff?: boolean }[] }
  | { type: 'leave'; streams: Id[] }
  | { type: 'do'; id: Id; stream: Id; name: string; body: Record<string, unknown> }
  | { type: 'ask'; ids: Id[] }
  | { type: 'ping'; at: number }
  | { type: 'tell'; stream: Id; name: 'typing' | 'reaction'; value?: string }
