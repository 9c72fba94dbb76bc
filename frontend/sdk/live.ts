import { Connection, type Status, type TicketSource } from './connection'
import { ServerClock } from './clock'
import { Emitter } from './emitter'
import type { Environment, KeyValue } from './environment'
import { CommandRefused, Outbox, refusalOf, type Entry, type Word } from './outbox'
import { Rest, RestError } from './rest'
import { fromSnapshot, isStaff, withFrame, withOrders, withValues, type RoomState } from './room'
import type { Answer, Hello, Id, LogEvent, Order, Panel, Person, ServerFrame, Snapshot } from './types'

export interface LiveOptions {
  url: string
  env: Environment
  rest: Rest
  kept: KeyValue
  tab: KeyValue
  /** Who the page was made for, until the server says it itself. */
  you?: Person | null
  /** For apps, which have no cookie: a ticket for the user, from the shop's own server. */
  ticket?: TicketSource
}

export interface Follow {
  stream: Id
  state: RoomState | null
  /** Why the stream is not to be seen, or not any more. */
  left: { code: string; message: string } | null
}

interface Followed extends Follow {
  /** Whether the state began as one of the stream's staff. What one is by now an event may have said. */
  staff: boolean
  joining: number
  replayTo: number
  polls: number
}

interface Topics {
  status: Status & { polling: boolean }
  hello: Hello
  /** Without a socket nobody says hello: who one is has changed all the same. */
  you: Person | null
  stream: Follow
  /** Events that have just been applied, in order; `live` is false for what was missed and replayed. */
  events: { stream: Id; events: LogEvent[]; live: boolean }
  panel: Panel
  /** A refusal that belongs to no command. */
  refusal: { code: string; message: string }
}

const POLL_MS = 2_500
const POLL_HIDDEN_MS = 15_000
/** Every so many polls bring what no event tells: counts of stock, the time, who one is. */
const POLLS_PER_SNAPSHOT = 10
const REJOIN_MS = 5_000
/** After a link was lost, one's own orders are read again within so long: not by all at once. */
const PANEL_SPREAD_MS = 10_000

/** Everything a page needs of the server: followed streams, commands, time. */
export class Live extends Emitter<Topics> {
  readonly clock: ServerClock
  readonly connection: Connection
  readonly outbox: Outbox
  readonly rest: Rest
  you: Person | null = null
  /** REST stands in for the socket, and answers. */
  polling = false
  private pollLoop = false
  private greeted = false
  /** The server of this link understands `staff` in a join. */
  private tellsStanding = false
  private ordersElsewhere = false
  private env: Environment
  private followed = new Map<Id, Followed>()
  private panelTimer: unknown = null
  private panelAsking = false
  private panelAgain = false
  private panelAt = 0
  private joinTimer: unknown = null
  private pollTimer: unknown = null

  constructor(options: LiveOptions) {
    super()
    this.env = options.env
    this.rest = options.rest
    this.clock = new ServerClock(options.env)
    this.connection = new Connection(options.url, options.env, this.clock, options.ticket)
    this.outbox = new Outbox(
      { ready: () => this.ready(), deliver: (e) => this.deliver(e), ask: (ids) => this.ask(ids) },
      options.env,
      () => this.clock.now(),
      options.kept,
      options.tab,
    )
    this.you = options.you ?? null
    this.outbox.become(this.you?.id ?? null)
    this.connection.on('status', () => this.status())
    this.connection.on('hello', (frame) => this.hello(frame))
    this.connection.on('frame', (frame) => this.frame(frame))
    this.connection.on('lost', () => this.outbox.disconnected())
  }

  start(): void {
    this.connection.start()
  }

  stop(): void {
    this.stopPolling()
    this.connection.stop()
  }

  follow(stream: Id): Follow {
    const known = this.followed.get(stream)
    if (known) return known
    const follow = { stream, state: null, left: null, staff: false, joining: 0, replayTo: 0, polls: 0 }
    this.followed.set(stream, follow)
    this.join([stream])
    return follow
  }

  unfollow(stream: Id): void {
    if (this.followed.delete(stream)) this.connection.send({ type: 'leave', streams: [stream] })
  }

  do(stream: Id, name: string, body: Record<string, unknown> = {}, word?: Word): Promise<Answer> {
    return this.outbox.do(stream, name, body, word).result
  }

  tell(stream: Id, name: 'typing' | 'reaction', value = ''): void {
    this.connection.send({ type: 'tell', stream, name, value })
  }

  /** The sign-in has changed: connect as whoever the cookie now says. What may be seen may have changed too. */
  signedInOrOut(): void {
    for (const follow of this.followed.values()) {
      follow.left = null
      follow.polls = 0
    }
    this.connection.restart()
    // unless a poll is under way: the next one brings it
    if (this.pollLoop && this.pollTimer !== null) {
      this.env.cancel(this.pollTimer)
      void this.poll()
    }
  }

  /** Read one's own holds, places and orders again. */
  async refreshPanel(): Promise<void> {
    if (this.panelAsking) {
      this.panelAgain = true
      return
    }
    this.panelAsking = true
    const person = this.you?.id
    const known = this.ordersNow()
    try {
      const panel: Panel = await this.rest.get('me/panel/')
      // What was heard while the answer was on its way may be newer than the answer; and it is for whoever asked.
      const now = this.ordersNow()
      if (this.you?.id !== person || [...now].some(([stream, orders]) => orders !== known.get(stream))) {
        this.panelAgain = true
        return
      }
      for (const follow of this.followed.values()) {
        if (follow.state) this.put(follow, withOrders(follow.state, panel.orders))
      }
      this.ordersElsewhere = panel.orders.length > 0
      this.emit('panel', panel)
    } finally {
      this.panelAsking = false
      if (this.panelAgain && this.you) this.refreshPanelIn(500)
      this.panelAgain = false
    }
  }

  private ordersNow(): Map<Id, Order[] | undefined> {
    return new Map([...this.followed].map(([stream, follow]) => [stream, follow.state?.orders]))
  }

  private refreshPanelIn(milliseconds: number): void {
    const at = this.env.monotonic() + milliseconds
    if (this.panelTimer !== null && this.panelAt <= at) return
    this.env.cancel(this.panelTimer)
    this.panelAt = at
    this.panelTimer = this.env.later(() => {
      this.panelTimer = null
      this.refreshPanel().catch(() => {})
    }, milliseconds)
  }

  private hasOrders(): boolean {
    return this.ordersElsewhere || [...this.followed.values()].some((f) => f.state?.orders.length)
  }

  // --- socket -----------------------------------------------------------------------------------------------------

  private status(): void {
    const { blocked, phase } = this.connection.status
    if (blocked && phase !== 'open' && phase !== 'stopped' && !this.pollLoop) this.startPolling()
    if ((phase === 'open' || phase === 'stopped') && this.pollLoop) this.stopPolling()
    this.emit('status', { ...this.connection.status, polling: this.polling })
  }

  private hello(frame: Hello): void {
    this.you = frame.you ?? null
    this.tellsStanding = frame.features.includes('standing')
    // Whether one's panel rang meanwhile, nobody knows. What happened in followed streams comes by itself.
    if (this.greeted && this.you && this.hasOrders()) this.refreshPanelIn(1_000 + this.env.random() * PANEL_SPREAD_MS)
    this.greeted = true
    this.join([...this.followed.values()].filter((f) => !f.left).map((f) => f.stream))
    this.outbox.connected(this.you?.id ?? null)
    this.emit('hello', frame)
  }

  private join(streams: Id[]): void {
    if (!streams.length || this.connection.status.phase !== 'open') return
    const now = this.env.monotonic()
    const wanted = streams.map((stream) => {
      const follow = this.followed.get(stream)!
      follow.joining = now
      const { state } = follow
      // Who one is decides what one sees: another person starts from a snapshot.
      const same = state && (state.me?.person ?? null) === (this.you?.id ?? null)
      if (!same) return { stream }
      return { stream, after: state.seq, epoch: state.epoch, ...(this.tellsStanding && { staff: follow.staff }) }
    })
    this.connection.send({ type: 'join', streams: wanted })
  }

  private frame(frame: ServerFrame): void {
    switch (frame.type) {
      case 'joined':
      case 'left':
      case 'events':
      case 'values': {
        const follow = this.followed.get(frame.stream)
        if (follow) this.streamFrame(follow, frame)
        return
      }
      case 'ack':
        return this.outbox.acknowledged(frame.id, frame.answer)
      case 'told':
        return this.outbox.told(frame.answers)
      case 'panel':
        return this.refreshPanelIn(300 + this.env.random() * 500)
      case 'error':
        if (frame.id) this.outbox.refused(frame.id, refusalOf(frame))
        else {
          if (frame.temporary) this.joinAgain(frame.retry_after ?? 1)
          this.emit('refusal', { code: frame.code, message: frame.message })
        }
    }
  }

  /** A frame without an id was refused for now; if it was a join, nobody else would ask again. */
  private joinAgain(seconds: number): void {
    this.joinTimer ??= this.env.later(
      () => {
        this.joinTimer = null
        this.join([...this.followed.values()].filter((f) => f.joining && !f.left).map((f) => f.stream))
      },
      1_000 * seconds * (1 + this.env.random() / 2),
    )
  }

  private streamFrame(
    follow: Followed,
    frame: Extract<ServerFrame, { stream: Id }>,
  ): void {
    switch (frame.type) {
      case 'joined':
        follow.joining = 0
        follow.left = null
        follow.replayTo = frame.mode === 'replay' ? frame.seq : 0
        if (frame.mode === 'resync') this.begin(follow, fromSnapshot(frame.snapshot))
        else this.emit('stream', follow)
        return
      case 'left':
        follow.joining = 0
        follow.left = { code: frame.code, message: frame.message }
        this.emit('stream', follow)
        return
      case 'values':
        if (follow.state) this.put(follow, withValues(follow.state, frame.values))
        return
      case 'events': {
        if (!follow.state) return
        const { state, gap, fresh } = withFrame(follow.state, frame)
        if (gap) {
          // Ask once for what is missing; an answer that never comes is asked for again.
          const asked = follow.joining && this.env.monotonic() - follow.joining < REJOIN_MS
          if (!asked) this.join([follow.stream])
          return
        }
        this.put(follow, state)
        if (fresh.length) {
          this.emit('events', { stream: follow.stream, events: fresh, live: frame.last > follow.replayTo })
        }
      }
    }
  }

  private begin(follow: Followed, state: RoomState): void {
    follow.staff = isStaff(state)
    this.put(follow, state)
  }

  private put(follow: Follow, state: RoomState): void {
    if (state === follow.state) return
    follow.state = state
    this.emit('stream', follow)
  }

  // --- commands ---------------------------------------------------------------------------------------------------

  private ready(): boolean {
    return this.connection.status.phase === 'open' || this.polling
  }

  private ask(ids: Id[]): boolean {
    return this.connection.status.phase === 'open' && this.connection.send({ type: 'ask', ids })
  }

  private deliver(entry: Entry): void {
    const { id, stream, name, body } = entry
    if (this.connection.status.phase === 'open') this.connection.send({ type: 'do', id, stream, name, body })
    else void this.post(entry)
  }

  private async post(entry: Entry): Promise<void> {
    try {
      const path = `streams/${entry.stream}/commands/${entry.name}/`
      const { answer } = await this.rest.post(path, entry.body, { 'Idempotency-Key': entry.id })
      this.outbox.acknowledged(entry.id, answer)
    } catch (error) {
      if (!(error instanceof RestError)) throw error
      if (error.status === 0 || error.status === 502 || error.status === 504) this.outbox.unanswered(entry.id)
      else this.outbox.refused(entry.id, error.refusal)
    }
  }

  // --- where sockets do not get through ------------------------------------------------------------------------------

  private startPolling(): void {
    this.pollLoop = true
    void this.poll()
  }

  private stopPolling(): void {
    this.pollLoop = this.polling = false
    if (this.pollTimer) this.env.cancel(this.pollTimer)
    this.pollTimer = null
  }

  private async poll(): Promise<void> {
    this.pollTimer = null
    let failed = false
    for (const follow of [...this.followed.values()]) {
      if (!follow.left) failed = !(await this.pollOne(follow)) || failed
    }
    if (!this.pollLoop) return
    if (this.polling === failed) {
      // it works now, or it does not any more: then the server is away, not the sockets
      this.polling = !failed
      if (failed) this.outbox.disconnected()
      else this.outbox.connected(this.you?.id ?? null)
    }
    const pause = failed ? 4 * POLL_MS : this.env.visible() ? POLL_MS : POLL_HIDDEN_MS
    this.pollTimer = this.env.later(() => void this.poll(), pause * (0.75 + this.env.random() / 2))
    this.emit('status', { ...this.connection.status, polling: this.polling })
  }

  /** What a `hello` would have said is in it, too: the time, and who one is. */
  private async takeSnapshot(follow: Followed): Promise<Snapshot> {
    const asked = this.env.monotonic()
    const snapshot: Snapshot = await this.rest.get(`streams/${follow.stream}/snapshot/`)
    this.clock.sample(asked, this.env.monotonic(), snapshot.time)
    const { me } = snapshot.personal
    const person = me?.person ?? null
    if (me && this.pollLoop && person !== (this.you?.id ?? null)) {
      this.you = person ? { id: person, name: me.name ?? '' } : null
      if (this.polling) this.outbox.connected(person)
      this.emit('you', this.you)
    }
    return snapshot
  }

  private async pollOne(follow: Followed): Promise<boolean> {
    try {
      const path = `streams/${follow.stream}`
      const whole = follow.polls++ % POLLS_PER_SNAPSHOT === 0
      if (follow.state) {
        const page = await this.rest.get(`${path}/events/?after=${follow.state.seq}&limit=200`)
        const epoch = page.epoch ?? follow.state.epoch
        const applied = withFrame(follow.state, { type: 'events', stream: follow.stream, epoch, ...page })
        if (!applied.gap) {
          this.put(follow, applied.state)
          if (applied.fresh.length) {
            this.emit('events', { stream: follow.stream, events: applied.fresh, live: true })
          }
          if (!whole) return true
          // events first, so that those who listen to them miss none
          const snapshot = await this.takeSnapshot(follow)
          const now = fromSnapshot(snapshot)
          const same = follow.state.me.person === now.me.person && follow.staff === isStaff(now)
          if (same) this.put(follow, withValues(follow.state, snapshot.latest ?? {}))
          else this.begin(follow, now)
          return true
        }
      }
      this.begin(follow, fromSnapshot(await this.takeSnapshot(follow)))
      return true
    } catch (error) {
      if (error instanceof RestError && (error.status === 403 || error.status === 404)) {
        follow.left = { code: error.code, message: error.refusal.message }
        this.emit('stream', follow)
        return true
      }
      return false
    }
  }
}

export { CommandRefused }
