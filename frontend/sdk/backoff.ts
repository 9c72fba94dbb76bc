import type { Environment } from './environment'

export const BASE_MS = 500
export const CAP_MS = 30_000
/** A link that held this long was a real one: the next loss starts counting anew. */
export const STABLE_MS = 5_000
/** However often it is woken, a client opens at most this many sockets in a minute. */
export const CONNECTS_PER_MINUTE = 9

/** Full jitter: anything from nothing to a ceiling that doubles with every failure. */
export function fullJitter(failures: number, random: () => number): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** failures)
}

/** When to connect again. Counts failures until a link has held, and how often a socket was opened lately. */
export class Backoff {
  failures = 0
  private opened: number[] = []

  constructor(private env: Pick<Environment, 'monotonic' | 'random'>) {}

  connecting(): void {
    const now = this.env.monotonic()
    this.opened = [...this.opened.filter((at) => now - at < 60_000), now]
  }

  /** The link ended after it had been open for `heldMs` (0: it never opened). */
  lost(heldMs: number): void {
    this.failures = heldMs >= STABLE_MS ? 0 : this.failures
  }

  /** Milliseconds until the next attempt, at least `floor`. */
  delay(floor = 0): number {
    const wait = floor + fullJitter(this.failures, this.env.random)
    this.failures += 1
    return Math.max(wait, this.allowance())
  }

  /** Milliseconds until another socket may be opened at all. */
  allowance(): number {
    const now = this.env.monotonic()
    const recent = this.opened.filter((at) => now - at < 60_000)
    return recent.length < CONNECTS_PER_MINUTE ? 0 : recent[recent.length - CONNECTS_PER_MINUTE]! + 60_000 - now
  }
}
