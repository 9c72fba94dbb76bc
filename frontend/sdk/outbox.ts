import { Emitter } from './emitter'
import type { Environment, KeyValue } from './environment'
import type { Answer, ErrorFrame, Id, Moment } from './types'
import { uuid7 } from './uuid7'

/**
 * sending    on its way, or waiting for the link
 * confirmed  carried out, durably
 * refused    not carried out; the id is spent
 * unknown    the link was lost before the answer; being asked
 * stale      certainly or probably not carried out, and too old to be sent without the person's word
 */
export type CommandState = 'sending' | 'confirmed' | 'refused' | 'unknown' | 'stale'

export interface Entry {
  id: Id
  stream: Id
  name: string
  body: Record<string, unknown>
  /** When the person gave the word, by the server's clock as it was known then. */
  at: Moment
  /** The same moment by the device's own clock. */
  wall?: number
  /** And by the time that only grows, for as long as this page lives. */
  monotonic?: number
  state: CommandState
  answer?: Answer
  error?: Refusal
  /** Whether it may have reached the server. */
  sent: boolean
}

/** The moment at which the person said that they want something. */
export type Word = Pick<Entry, 'at' | 'wall' | 'monotonic'>

export interface Refusal {
  code: string
  message: string
  params: Record<string, any>
  temporary: boolean
  /** Seconds. */
  retryAfter: number | null
}

export class CommandRefused extends Error {
  constructor(
    readonly refusal: Refusal,
    readonly entry: Entry | null = null,
  ) {
    super(refusal.message || refusal.code)
  }
  get code(): string {
    return this.refusal.code
  }
}

export const refusalOf = (frame: Partial<ErrorFrame>): Refusal => ({
  code: frame.code ?? 'server.error',
  message: frame.message ?? '',
  params: frame.params ?? {},
  temporary: frame.temporary ?? false,
  retryAfter: frame.retry_after ?? null,
})

/**
 * Words that buy, and the address on the way to paying: never sent by themselves once this old. What is typed into a
 * room may be a claim too.
 */
export const BUYING = new Set(['claim.place', 'say', 'buy', 'order.deliver', 'order.pay'])
export const WORD_HOLDS_MS = 10_000
/** What is too old and has nobody who would ask about it again is over; whoever gave it is told. */
const nobodyAsks = ({ name, body }: Entry) =>
  name === 'order.pay' || name === 'order.deliver' || (name === 'claim.place' && body.buyer !== undefined)
/** Everything else is not sent by itself later than this: an hour later nobody counts on it, or it was done again. */
export const ORDERS_HOLD_MS = 5 * 60_000
/** Except what may happen whenever the link is back: nothing said is lost, nothing taken back stays. */
const WHENEVER = new Set([
  'message.send', 'message.delete', 'message.report', 'claim.cancel', 'claim.pass', 'claim.leave',
])
export const LATE = refusalOf({ code: 'outbox.late' })
/** It left, the server has not carried it out so far, and it may still stand in a queue there. */
export const UNSURE = refusalOf({ code: 'outbox.unsure' })
/** A busy server is asked again for this long while the person watches. */
export const PATIENCE_MS = 30_000
/** No answer on a living link for this long: ask. */
export const ANSWER_MS = 8_000
/** Chat that may wait for a link. */
export const WAITING_TEXTS = 5
/** A refusal "for now" of a text beyond this goes back into the composer instead of being retried. */
export const TEXT_RETRY_MS = 3_000
/** Never written to the device: they carry an address, or a second try means nothing. */
const NOT_KEPT = new Set(['order.deliver', 'order.pay'])
const TEXTS = new Set(['say', 'message.send'])
const ORPHAN_MS = 30_000

export interface Transport {
  /** Whether a command can leave now. */
  ready(): boolean
  deliver(entry: Entry): void
  /** Ask for receipts; false where that is not possible (then entries are simply sent again, with the same id). */
  ask(ids: Id[]): boolean
}

interface Waiter {
  resolve(answer: Answer): void
  reject(error: CommandRefused): void
}

/** Commands that must not be lost and must not happen twice. Ids survive a reload; the server knows them again. */
export class Outbox extends Emitter<{ change: Entry }> {
  private entries = new Map<Id, Entry>()
  private waiters = new Map<Id, Waiter[]>()
  private timers = new Map<Id, unknown>()
  private person: Id | null = null
  private tab: string

  constructor(
    private transport: Transport,
    private env: Pick<Environment, 'later' | 'cancel' | 'bytes' | 'random' | 'wall' | 'monotonic'>,
    private now: () => Moment,
    private kept: KeyValue,
    tabStore: KeyValue,
  ) {
    super()
    this.tab = tabStore.getItem('livesale.tab') ?? uuid7(env.wall(), env.bytes)
    tabStore.setItem('livesale.tab', this.tab)
  }

  /** What is not settled yet, oldest first. */
  pending(): Entry[] {
    return [...this.entries.values()].filter((e) => e.state !== 'confirmed' && e.state !== 'refused')
  }

  /**
   * Give a command. Settles when the server has answered, however many links that takes. Where one word of the person
   * takes several commands, each is given with that `word`: its age counts, not that of the command.
   */
  do(
    stream: Id,
    name: string,
    body: Record<string, unknown> = {},
    word: Word = this.word(),
  ): { entry: Entry; result: Promise<Answer> } {
    const entry: Entry = {
      id: uuid7(this.now(), this.env.bytes),
      stream,
      name,
      body,
      ...word,
      state: 'sending',
      sent: false,
    }
    const result = this.result(entry)
    const texts = this.pending().filter((e) => TEXTS.has(e.name))
    if (TEXTS.has(name) && !this.transport.ready() && texts.length >= WAITING_TEXTS) {
      this.settle(entry, 'refused', { error: refusalOf({ code: 'outbox.full' }) })
      return { entry, result }
    }
    this.entries.set(entry.id, entry)
    this.keep(entry)
    if (this.transport.ready()) this.sendIfFresh(entry)
    else {
      this.waitsNotFor(entry)
      this.emit('change', entry)
    }
    return { entry, result }
  }

  /** This moment, to be asked for its `age` later on. */
  word(): Word {
    return { at: this.now(), wall: this.env.wall(), monotonic: this.env.monotonic() }
  }

  /**
   * How long ago that was. Within a page's life two clocks of the device say so, and the longer time counts: monotonic
   * time stands still in sleep, the wall's clock may be set back. The server's clock may not be asked: a device that
   * has slept learns only from the next answer how late it is, and all that came before seems as old as the sleep was
   * long. For the same reason what an earlier page left behind is as young as the wall's clock says.
   */
  age({ at, wall, monotonic }: Word): number {
    const byWall = wall === undefined ? -1 : this.env.wall() - wall
    if (monotonic !== undefined) return Math.max(byWall, this.env.monotonic() - monotonic)
    const age = this.now() - at
    return byWall < 0 ? age : Math.min(age, byWall)
  }

  /** The answer to an entry, for those who were not there when it was given. */
  result(entry: Entry): Promise<Answer> {
    const promise = new Promise<Answer>((resolve, reject) => {
      const list = this.waiters.get(entry.id) ?? []
      this.waiters.set(entry.id, [...list, { resolve, reject }])
    })
    promise.catch(() => {}) // the state is told by `change` as well
    return promise
  }

  /** The person has said again that they want this. */
  confirm(id: Id): void {
    const entry = this.entries.get(id)
    if (!entry || entry.state !== 'stale') return
    Object.assign(entry, this.word())
    this.keep(entry)
    if (this.transport.ready()) this.send(entry)
    else this.to(entry, 'sending')
  }

  /** The person does not want this any more. */
  discard(id: Id): void {
    const entry = this.entries.get(id)
    if (entry) this.settle(entry, 'refused', { error: refusalOf({ code: 'outbox.discarded' }) })
  }

  // --- what the connection says -----------------------------------------------------------------------------------

  /** There is a link, and the server takes us for `person`. */
  connected(person: Id | null): void {
    this.become(person)
    if (!person) return
    const open = this.pending().filter((e) => e.state !== 'stale')
    const maybe = open.filter((e) => e.sent)
    for (const entry of maybe) this.to(entry, 'unknown')
    if (maybe.length) this.ask(maybe)
    for (const entry of open.filter((e) => !e.sent)) this.sendIfFresh(entry)
  }

  disconnected(): void {
    for (const timer of this.timers.values()) this.env.cancel(timer)
    this.timers.clear()
    for (const entry of this.pending()) {
      if (entry.state === 'sending' && entry.sent) this.to(entry, 'unknown')
      else this.waitsNotFor(entry)
    }
  }

  /** It left, and nobody knows whether it arrived. */
  unanswered(id: Id): void {
    const entry = this.entries.get(id)
    if (!entry) return
    this.to(entry, 'unknown')
    this.timer(entry, 2_000, () => this.transport.ready() && this.ask([entry]))
  }

  acknowledged(id: Id, answer: Answer): void {
    const entry = this.entries.get(id)
    if (entry) this.settle(entry, 'confirmed', { answer })
  }

  refused(id: Id, refusal: Refusal): void {
    const entry = this.entries.get(id)
    if (!entry) return
    const wait = Math.max(200, (refusal.retryAfter ?? 1) * 1000)
    const isText = TEXTS.has(entry.name)
    const patience = isText ? TEXT_RETRY_MS : BUYING.has(entry.name) ? PATIENCE_MS : ORDERS_HOLD_MS
    if (!refusal.temporary || (isText && wait > TEXT_RETRY_MS)) {
      this.settle(entry, 'refused', { error: refusal })
      return
    }
    entry.error = refusal
    entry.sent = false
    if (this.age(entry) + wait > patience && !WHENEVER.has(entry.name)) this.tooOld(entry)
    else {
      this.to(entry, 'sending')
      // a little later than that, by chance, is soon enough; a device that has slept meanwhile is late
      const again = () => this.transport.ready() && this.sendWithin(entry, patience + wait)
      this.timer(entry, wait * (1 + this.env.random() * 0.5), again)
    }
  }

  told(answers: Record<Id, Answer | null>): void {
    for (const [id, answer] of Object.entries(answers)) {
      const entry = this.entries.get(id)
      if (!entry || entry.state !== 'unknown') continue
      if (answer) this.settle(entry, 'confirmed', { answer })
      else this.sendIfFresh(entry)
    }
  }

  // --- inside -----------------------------------------------------------------------------------------------------

  private sendIfFresh(entry: Entry): void {
    this.sendWithin(entry, BUYING.has(entry.name) ? WORD_HOLDS_MS : ORDERS_HOLD_MS)
  }

  private sendWithin(entry: Entry, milliseconds: number): void {
    if (this.age(entry) > milliseconds && !WHENEVER.has(entry.name)) this.tooOld(entry)
    else this.send(entry)
  }

  /**
   * Where nobody can be asked what became of it, the same id once more is the question: carried out already, it only
   * gets its answer. Saying that it came to nothing would be a guess.
   */
  private sendUnasked(entry: Entry): void {
    if (nobodyAsks(entry) && this.age(entry) <= ORDERS_HOLD_MS) this.send(entry)
    else this.sendIfFresh(entry)
  }

  private tooOld(entry: Entry): void {
    if (BUYING.has(entry.name) && !nobodyAsks(entry)) this.to(entry, 'stale')
    else this.settle(entry, 'refused', { error: entry.sent ? UNSURE : LATE })
  }

  /** Without a link whoever pays need not wait for it to learn that this came to nothing: it has not left. */
  private waitsNotFor(entry: Entry): void {
    if (entry.sent || !nobodyAsks(entry)) return
    this.timer(entry, Math.max(0, WORD_HOLDS_MS - this.age(entry)), () => this.tooOld(entry))
  }

  private send(entry: Entry): void {
    entry.sent = true
    this.keep(entry)
    this.to(entry, 'sending')
    this.timer(entry, ANSWER_MS, () => {
      this.to(entry, 'unknown')
      this.ask([entry])
    })
    this.transport.deliver(entry)
  }

  private ask(entries: Entry[]): void {
    for (let i = 0; i < entries.length; i += 100) {
      const some = entries.slice(i, i + 100)
      if (this.transport.ask(some.map((e) => e.id))) {
        for (const entry of some) {
          this.timer(entry, ANSWER_MS, () => entry.state === 'unknown' && this.transport.ready() && this.ask([entry]))
        }
      } else {
        for (const entry of some) this.sendUnasked(entry)
      }
    }
  }

  private to(entry: Entry, state: CommandState): void {
    entry.state = state
    if (state === 'stale') this.clear(entry)
    this.emit('change', entry)
  }

  private settle(entry: Entry, state: 'confirmed' | 'refused', part: { answer?: Answer; error?: Refusal }): void {
    Object.assign(entry, part)
    this.entries.delete(entry.id)
    this.kept.removeItem(this.key(entry.id))
    this.end(entry, state)
  }

  private end(entry: Entry, state: 'confirmed' | 'refused'): void {
    this.clear(entry)
    this.to(entry, state)
    const waiters = this.waiters.get(entry.id) ?? []
    this.waiters.delete(entry.id)
    for (const waiter of waiters) {
      if (state === 'confirmed') waiter.resolve(entry.answer ?? {})
      else waiter.reject(new CommandRefused(entry.error!, entry))
    }
  }

  private timer(entry: Entry, milliseconds: number, run: () => void): void {
    this.clear(entry)
    this.timers.set(entry.id, this.env.later(run, milliseconds))
  }

  private clear(entry: Entry): void {
    const timer = this.timers.get(entry.id)
    if (timer !== undefined) this.env.cancel(timer)
    this.timers.delete(entry.id)
  }

  private key(id: Id): string {
    return `livesale.do.${this.person}.${id}`
  }

  private keep(entry: Entry): void {
    if (!this.person || NOT_KEPT.has(entry.name)) return
    const { id, stream, name, body, at, wall, sent } = entry
    this.kept.setItem(this.key(id), JSON.stringify({ id, stream, name, body, at, wall, sent, tab: this.tab }))
  }

  /** Take up what this person's earlier page left unsettled. What another open tab is busy with stays with it. */
  become(person: Id | null): void {
    if (person === this.person) return
    const others = this.person !== null
    this.person = person
    if (others) {
      // somebody else now: what the former person had not settled waits on the device for them, and here it is over
      const former = [...this.entries.values()]
      this.entries.clear()
      for (const entry of former) {
        entry.error = entry.sent && NOT_KEPT.has(entry.name) ? UNSURE : refusalOf({ code: 'outbox.discarded' })
        this.end(entry, 'refused')
      }
    }
    if (!person) return
    for (const entry of this.entries.values()) this.keep(entry)
    for (const key of this.kept.keys()) {
      if (!key.startsWith(`livesale.do.${person}.`)) continue
      let found: (Entry & { tab: string }) | null = null
      try {
        found = JSON.parse(this.kept.getItem(key) ?? 'null')
      } catch {
        // written by something else
      }
      if (!found?.id || !found.name) {
        this.kept.removeItem(key)
      } else if (!this.entries.has(found.id) && (found.tab === this.tab || this.now() - found.at > ORPHAN_MS)) {
        const { id, stream, name, body, at, wall, sent } = found
        // A crash may have come between sending and writing that down.
        this.entries.set(id, { id, stream, name, body, at, wall, sent: sent !== false, state: 'unknown' })
      }
    }
  }
}
