/** The outside world of the SDK, small enough to be replaced by a test: sockets, time, chance, storage. */

export interface SocketLike {
  send(text: string): void
  close(code?: number): void
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
  onerror: ((event?: unknown) => void) | null
}

export interface KeyValue {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
  keys(): string[]
}

export interface Environment {
  open(url: string): SocketLike
  /** Milliseconds that only grow. */
  monotonic(): number
  /** The device's own idea of Unix milliseconds; may be wrong by hours. */
  wall(): number
  /** 0 ≤ x < 1 */
  random(): number
  bytes(count: number): Uint8Array
  later(run: () => void, milliseconds: number): unknown
  cancel(timer: unknown): void
  /** Call `run` when the device may have slept or changed networks. Returns how to stop. */
  onWake(run: () => void): () => void
  visible(): boolean
}

/** Storage that never throws: private windows refuse it, full disks too. */
export function safeStorage(storage: () => Storage | null | undefined): KeyValue {
  let real: Storage | null = null
  try {
    real = storage() ?? null
    real?.getItem('livesale')
  } catch {
    real = null
  }
  const memory = new Map<string, string>()
  return {
    getItem: (key) => memory.get(key) ?? real?.getItem(key) ?? null,
    setItem(key, value) {
      try {
        if (real) return real.setItem(key, value)
      } catch {
        // full: kept for this visit only
      }
      memory.set(key, value)
    },
    removeItem(key) {
      memory.delete(key)
      real?.removeItem(key)
    },
    keys: () => [...new Set([...memory.keys(), ...(real ? Object.keys(real) : [])])],
  }
}

export function browserEnvironment(): Environment {
  return {
    open: (url) => new WebSocket(url) as unknown as SocketLike,
    monotonic: () => performance.now(),
    wall: () => Date.now(),
    random: () => Math.random(),
    bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    later: (run, milliseconds) => setTimeout(run, milliseconds),
    cancel: (timer) => clearTimeout(timer as number),
    visible: () => document.visibilityState !== 'hidden',
    onWake(run) {
      const seen = () => document.visibilityState === 'visible' && run()
      const shown = (event: PageTransitionEvent) => event.persisted && run()
      document.addEventListener('visibilitychange', seen)
      document.addEventListener('resume', run)
      window.addEventListener('online', run)
      window.addEventListener('pageshow', shown)
      return () => {
        document.removeEventListener('visibilitychange', seen)
        document.removeEventListener('resume', run)
        window.removeEventListener('online', run)
        window.removeEventListener('pageshow', shown)
      }
    },
  }
}
