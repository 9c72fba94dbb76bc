import { browserEnvironment, Live, type Id, type LogEvent, type Order, type Person, type RoomState, type Word } from '../sdk'
import { rest } from './api'
import { boot, device, tab } from './boot'
import { time } from './time.svelte'

/** The page's one connection. */
class Site {
  status = $state.raw<Live['connection']['status'] & { polling: boolean }>({
    phase: 'connecting', code: null, nextAt: null, blocked: false, everOpen: false, polling: false,
  })
  you = $state.raw<Person | null>(boot.person)
  features = $state.raw<string[]>([])
  /** Own orders everywhere, once the server has said that something has changed. */
  orders = $state.raw<Order[] | null>(null)
  readonly live: Live

  constructor() {
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/`
    this.live = new Live({ url, env: browserEnvironment(), rest, kept: device, tab, you: boot.person })
    time.follow(() => this.live.clock.now())
    this.live.on('status', (status) => (this.status = status))
    this.live.on('panel', (panel) => (this.orders = panel.orders))
    this.live.on('you', (you) => (this.you = you))
    this.live.on('hello', (hello) => {
      this.you = hello.you ?? null
      this.features = hello.features ?? []
    })
  }

  get now(): number {
    return this.live.clock.now()
  }
}

export const site = new Site()

/** A followed stream as pages read it: at most one change per frame, however much arrives. */
export class LiveStream {
  state = $state.raw<RoomState | null>(null)
  left = $state.raw<{ code: string; message: string } | null>(null)
  private due = false

  constructor(readonly stream: Id) {
    const follow = site.live.follow(stream)
    site.live.on('stream', (changed) => changed === follow && this.soon())
    site.live.start()
    if (follow.state) this.soon()
  }

  /** What is known this moment, for listeners that cannot wait for a frame. */
  get fresh(): RoomState | null {
    return site.live.follow(this.stream).state
  }

  onEvents(listener: (events: LogEvent[], live: boolean) => void): () => void {
    return site.live.on('events', ({ stream, events, live }) => stream === this.stream && listener(events, live))
  }

  do = (name: string, body: Record<string, unknown> = {}, word?: Word) => site.live.do(this.stream, name, body, word)

  private soon(): void {
    if (this.due) return
    this.due = true
    const take = () => {
      this.due = false
      const { state, left } = site.live.follow(this.stream)
      this.state = state
      this.left = left
    }
    // hidden pages get no frames
    if (document.hidden) setTimeout(take, 250)
    else requestAnimationFrame(take)
  }
}
