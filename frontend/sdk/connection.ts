import { Backoff, STABLE_MS } from './backoff'
import { CLOSE, reactionTo } from './close-codes'
import { ServerClock } from './clock'
import { Emitter } from './emitter'
import type { Environment, SocketLike } from './environment'
import { PROTOCOL, type ClientFrame, type Hello, type ServerFrame } from './types'

export const PING_MS = 15_000
export const SILENCE_MS = 45_000
/** A link that is doubted (the tab woke up, the network changed) has this long to prove itself. */
export const PROBE_MS = 2_000
export const HELLO_MS = 10_000
/** After this many attempts without a `hello`, sockets are taken to be blocked on the way. */
export const BLOCKED_AFTER = 3

export type Phase = 'idle' | 'connecting' | 'open' | 'waiting' | 'stopped'

export interface Status {
  phase: Phase
  /** Why the client has stopped, or how the last link ended. */
  code: number | null
  /** Monotonic milliseconds of the next attempt, while waiting. */
  nextAt: number | null
  /** Sockets do not get through; the caller should use REST meanwhile. */
  blocked: boolean
  /** Whether there has ever been a link. */
  everOpen: boolean
}

interface Topics {
  status: Status
  hello: Hello
  frame: ServerFrame
  lost: number
}

/**
 * A single-use ticket for whoever uses the app, fetched from the shop's own server. For clients without the site's
 * cookie; what a page in a browser needs of it, its cookie says already.
 */
export type TicketSource = () => Promise<string>

/** One socket that is always being kept: it reconnects, notices silence, and keeps the server's clock. */
export class Connection extends Emitter<Topics> {
  status: Status = { phase: 'idle', code: null, nextAt: null, blocked: false, everOpen: false }
  readonly backoff: Backoff
  private socket: SocketLike | null = null
  private askedAt = 0
  private openedAt = 0
  private heardAt = 0
  private pingedAt = 0
  private failedInARow = 0
  private bye: { code: number; retryAfter: number | null } | null = null
  private timers = new Map<string, unknown>()
  private stopListening: (() => void) | null = null
  /** Signs in again without a ticket, for some minutes; the server renews it with its beats. */
  private resume: string | null = null
  private proving: 'resume' | 'ticket' | null = null
  private greeting: Hello | null = null

  constructor(
    private url: string,
    private env: Environment,
    readonly clock: ServerClock,
    private ticket: TicketSource | null = null,
  ) {
    super()
    this.backoff = new Backoff(env)
  }

  start(): void {
    if (this.status.phase !== 'idle' && this.status.phase !== 'stopped') return
    this.stopListening ??= this.env.onWake(() => this.wake())
    this.failedInARow = 0
    this.connect()
  }

  stop(): void {
    this.stopListening?.()
    this.stopListening = null
    this.drop()
    this.set({ phase: 'idle', nextAt: null })
  }

  /** Begin anew at once, as somebody else: the cookie has changed. */
  restart(): void {
    const wasOpen = this.status.phase === 'open'
    this.resume = null
    this.drop()
    if (wasOpen) this.emit('lost', 0)
    this.backoff.failures = 0
    this.connect()
  }

  send(frame: ClientFrame): boolean {
    if (this.status.phase !== 'open' || !this.socket) return false
    try {
      this.socket.send(JSON.stringify(frame))
      return true
    } catch {
      return false
    }
  }

  /** The device may have slept: prove the link, or make a new one now. */
  wake(): void {
    if (this.status.phase === 'open') this.probe()
    else if (this.status.phase === 'waiting') {
      const wait = this.backoff.allowance()
      if (wait === 0) this.connect()
      else this.retryIn(wait)
    }
  }

  probe(): void {
    const asked = this.env.monotonic()
    this.ping()
    this.timer('probe', PROBE_MS, () => {
      if (this.heardAt < asked) this.lost(CLOSE.silent)
    })
  }

  private connect(): void {
    this.clearTimers()
    this.backoff.connecting()
    this.bye = null
    this.proving = null
    this.openedAt = 0
    this.askedAt = this.env.monotonic()
    this.set({ phase: 'connecting', nextAt: null })
    let socket: SocketLike
    try {
      socket = this.env.open(`${this.url}${this.url.includes('?') ? '&' : '?'}protocol=${PROTOCOL}`)
    } catch {
      this.lost(1006)
      return
    }
    this.socket = socket
    const mine = () => this.socket === socket
    this.timer('hello', HELLO_MS, () => mine() && this.lost(1006))
    socket.onmessage = (event) => mine() && typeof event.data === 'string' && this.read(event.data)
    socket.onclose = (event) => mine() && this.lost(event.code)
    socket.onerror = () => {}
  }

  private read(text: string): void {
    this.heardAt = this.env.monotonic()
    let frame: ServerFrame
    try {
      frame = JSON.parse(text)
    } catch {
      return
    }
    switch (frame.type) {
      case 'hello':
        this.hello(frame)
        return
      case 'pong':
        if (typeof frame.at === 'number') this.clock.sample(frame.at, this.heardAt, frame.time)
        return
      case 'bye':
        this.bye = { code: frame.code, retryAfter: frame.retry_after ?? null }
        return
      case 'beat':
        this.resume = frame.resume ?? this.resume
        // a page in the background has its timers once a minute, but hears at once: the server must not think it gone
        if (this.heardAt - this.pingedAt >= PING_MS) this.ping()
        return
      case 'error':
        if (this.proving && frame.code === 'auth.failed') {
          this.notBelieved()
          return
        }
    }
    this.emit('frame', frame)
  }

  private hello(frame: Hello): void {
    // A first idea of the time, until a ping has made a better one; and after a sleep the proof that the old one is
    // void, before anything that waits is judged by it.
    this.clock.sample(this.askedAt, this.heardAt, frame.time)
    this.resume = frame.resume ?? this.resume
    if (this.ticket && !frame.you && !this.proving) {
      this.greeting = frame
      this.prove(this.resume)
      return
    }
    this.proving = null
    this.opened(frame)
  }

  /** Say who uses the app: by the token of the last link, else by a ticket. */
  private prove(resume: string | null): void {
    const socket = this.socket
    const say = (frame: ClientFrame) => this.socket === socket && socket?.send(JSON.stringify(frame))
    this.proving = resume ? 'resume' : 'ticket'
    if (resume) say({ type: 'auth', resume })
    else
      this.ticket!().then(
        (ticket) => say({ type: 'auth', ticket }),
        () => this.socket === socket && this.notBelieved(),
      )
  }

  /** An old token gives way to a ticket; without either one watches as a guest. */
  private notBelieved(): void {
    const was = this.proving
    this.resume = null
    if (was === 'resume') {
      this.prove(null)
      return
    }
    this.proving = null
    if (this.greeting) this.opened(this.greeting)
  }

  private opened(frame: Hello): void {
    const again = this.status.phase === 'open'
    this.cancelTimer('hello')
    if (!again) {
      this.openedAt = this.heardAt
      this.failedInARow = 0
      this.set({ phase: 'open', code: null, nextAt: null, blocked: false, everOpen: true })
      this.watch()
      // Some samples early: the first one after a handshake is seldom the best.
      this.ping()
      this.timer('sync1', 400, () => this.ping())
      this.timer('sync2', 1200, () => this.ping())
    }
    this.emit('hello', frame)
  }

  private ping(): void {
    this.pingedAt = this.env.monotonic()
    this.send({ type: 'ping', at: this.pingedAt })
  }

  private watch(): void {
    this.timer('watch', PING_MS, () => {
      if (this.env.monotonic() - this.heardAt >= SILENCE_MS - 50) return this.lost(CLOSE.silent)
      this.ping()
      this.watch()
    })
    this.timer('stable', STABLE_MS, () => (this.backoff.failures = 0))
  }

  private lost(code: number): void {
    const wasOpen = this.status.phase === 'open'
    const bye = this.bye
    this.drop()
    const held = this.openedAt ? this.env.monotonic() - this.openedAt : 0
    this.backoff.lost(held)
    if (!wasOpen) this.failedInARow += 1
    const meant = bye && code < 4000 ? bye.code : code
    if (wasOpen) this.emit('lost', meant)
    const signInAgain = meant === CLOSE.signInAgain
    if (signInAgain) this.resume = null
    // An app gets a new ticket for its user; a page has nothing else to show than its cookie.
    const reaction = signInAgain && this.ticket ? 'backoff' : reactionTo(meant)
    if (reaction === 'stop') {
      this.set({ phase: 'stopped', code: meant, nextAt: null })
      return
    }
    const asked = bye?.retryAfter != null ? bye.retryAfter * 1000 : reaction === 'wait' ? 5_000 : 0
    // A server that goes away loses all its clients in one moment: they must not come back in one.
    const spread = meant === CLOSE.goingAway ? this.env.random() * 3_000 : 0
    this.set({ code: meant, blocked: this.status.blocked || this.failedInARow >= BLOCKED_AFTER })
    this.retryIn(this.backoff.delay(asked + spread))
  }

  private retryIn(milliseconds: number): void {
    this.set({ phase: 'waiting', nextAt: this.env.monotonic() + milliseconds })
    this.timer('retry', milliseconds, () => this.connect())
  }

  private drop(): void {
    this.clearTimers()
    const socket = this.socket
    this.socket = null
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.onerror = () => {}
    try {
      socket.close(1000)
    } catch {
      // it was not open yet
    }
  }

  private set(change: Partial<Status>): void {
    this.status = { ...this.status, ...change }
    this.emit('status', this.status)
  }

  private timer(name: string, milliseconds: number, run: () => void): void {
    this.cancelTimer(name)
    this.timers.set(
      name,
      this.env.later(() => {
        this.timers.delete(name)
        run()
      }, milliseconds),
    )
  }

  private cancelTimer(name: string): void {
    const timer = this.timers.get(name)
    if (timer !== undefined) this.env.cancel(timer)
    this.timers.delete(name)
  }

  private clearTimers(): void {
    for (const name of [...this.timers.keys()]) this.cancelTimer(name)
  }
}
