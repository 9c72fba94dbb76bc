/** A world whose time only moves when told to, and a server of a few lines in it. */
import type { Environment, KeyValue, SocketLike } from '../environment'
import { Live } from '../live'
import { Rest } from '../rest'
import type { Snapshot } from '../types'

export function memory(): KeyValue {
  const map = new Map<string, string>()
  return {
    getItem: (k) => map.get(k) ?? null,
    setItem: (k, v) => void map.set(k, v),
    removeItem: (k) => void map.delete(k),
    keys: () => [...map.keys()],
  }
}

export class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onerror: (() => void) | null = null
  sent: any[] = []
  closed = false
  constructor(readonly world: World) {}
  send(text: string): void {
    const frame = JSON.parse(text)
    this.sent.push(frame)
    this.world.onFrame?.(frame, this)
  }
  close(): void {
    this.closed = true
  }
  /** The server says something. */
  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }
  /** The server, or the network, ends it. */
  end(code: number): void {
    this.closed = true
    this.onclose?.({ code })
  }
  of(type: string): any[] {
    return this.sent.filter((f) => f.type === type)
  }
}

export class World implements Environment {
  now = 1_000
  /** What the server's clock is ahead of monotonic time. */
  serverAhead = 1_800_000_000_000
  deviceWrongBy = 3_600_000
  sockets: FakeSocket[] = []
  connectTimes: number[] = []
  urls: string[] = []
  chance = Math.random
  onOpen: ((socket: FakeSocket) => void) | null = null
  onFrame: ((frame: any, socket: FakeSocket) => void) | null = null
  private timers: { at: number; run: () => void; id: number }[] = []
  private wakes = new Set<() => void>()
  private count = 0

  open(url: string): SocketLike {
    this.urls.push(url)
    const socket = new FakeSocket(this)
    this.sockets.push(socket)
    this.connectTimes.push(this.now)
    this.later(() => !socket.closed && this.onOpen?.(socket), 10)
    return socket
  }
  monotonic = () => this.now
  wall = () => this.now + this.serverAhead + this.deviceWrongBy
  random = () => this.chance()
  bytes = (count: number) => Uint8Array.from({ length: count }, () => Math.floor(Math.random() * 256))
  visible = () => true
  onWake(run: () => void): () => void {
    this.wakes.add(run)
    return () => this.wakes.delete(run)
  }
  wake(): void {
    for (const run of this.wakes) run()
  }
  later(run: () => void, milliseconds: number): unknown {
    const id = ++this.count
    this.timers.push({ at: this.now + milliseconds, run, id })
    return id
  }
  cancel(timer: unknown): void {
    this.timers = this.timers.filter((t) => t.id !== timer)
  }
  get serverTime(): number {
    return this.now + this.serverAhead
  }
  get socket(): FakeSocket {
    return this.sockets.at(-1)!
  }
  pass(milliseconds: number): void {
    const until = this.now + milliseconds
    for (;;) {
      const next = this.timers.filter((t) => t.at <= until).sort((a, b) => a.at - b.at || a.id - b.id)[0]
      if (!next) break
      this.timers = this.timers.filter((t) => t !== next)
      this.now = Math.max(this.now, next.at)
      next.run()
    }
    this.now = until
  }
  /** Let promises settle, and time pass in between. */
  async settle(milliseconds = 0): Promise<void> {
    for (let i = 0; i < 10; i++) await Promise.resolve()
    this.pass(milliseconds)
    for (let i = 0; i < 10; i++) await Promise.resolve()
  }
}

export const ROOM = '018f0000-0000-7000-8000-000000000001'
export const ME = '018f0000-0000-7000-8000-00000000000a'

export const hello = (world: World, you: object | null = { id: ME, name: 'Ada' }) => ({
  type: 'hello',
  protocol: 1,
  time: world.serverTime,
  ...(you && { you }),
  limits: {},
  features: [],
})

export function snapshot(seq = 5, more: Partial<Snapshot['public']> = {}): Snapshot {
  return {
    stream: ROOM,
    kind: 'room',
    epoch: 1,
    seq,
    time: 0,
    latest: {},
    public: {
      room: {
        id: ROOM,
        shop: 's',
        kind: 'sale',
        name: 'Room',
        description: '',
        slow_seconds: 0,
        repeat_seconds: 0,
        links: 'staff',
        locked: false,
        archived: false,
        open: true,
        announcement: null,
      },
      messages: [],
      pins: [],
      sale: null,
      ...more,
    },
    personal: {
      me: { person: ME, name: 'Ada', role: 'member', permissions: [], muted_until: null },
      orders: [],
    },
  }
}

export function makeLive(world: World, kept = memory(), tab = memory(), rest?: Rest): Live {
  return new Live({
    url: 'ws://x/ws/',
    env: world,
    rest: rest ?? new Rest({ fetch: async () => new Response('{}', { status: 503 }) }),
    kept,
    tab,
    you: { id: ME, name: 'Ada' },
  })
}
