import { browserEnvironment, Live, type Id, type LogEvent, type Mine, type Person, type RoomState } from '../sdk'
import { rest } from './api'
import { boot, device, tab } from './boot'
import { time } from './time.svelte'

/** A followed stream as pages read it: at most one change per frame, however much arrives. */
export class LiveStream {
  state = $state.raw<RoomState | null>(null)
  left = $state.raw<{ code: string; message: string } | null>(null)
  status = $state.raw<Live['connection']['status'] & { polling: boolean }>({
    phase: 'connecting', code: null, nextAt: null, blocked: false, everOpen: false, polling: false,
  })
  you = $state.raw<Person | null>(boot.person)
  features = $state.raw<string[]>([])
  panel = $state.raw<Mine | null>(null)
  readonly live: Live
  private due = false

  constructor(readonly stream: Id) {
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/`
    this.live = new Live({ url, env: browserEnvironment(), rest, kept: device, tab, you: boot.person })
    time.follow(() => this.live.clock.now())
    const follow = this.live.follow(stream)
    this.live.on('stream', (changed) => changed === follow && this.soon())
    this.live.on('status', (status) => (this.status = status))
    this.live.on('panel', (panel) => (this.panel = panel))
    this.live.on('hello', (hello) => {
      this.you = hello.you ?? null
      this.features = hello.features ?? []
    })
    this.live.start()
  }

  get now(): number {
    return this.live.clock.now()
  }

  onEvents(listener: (events: LogEvent[], live: boolean) => void): () => void {
    return this.live.on('events', ({ stream, events, live }) => stream === this.stream && listener(events, live))
  }

  do = (name: string, body: Record<string, unknown> = {}) => this.live.do(this.stream, name, body)

  private soon(): void {
    if (this.due) return
    this.due = true
    const take = () => {
      this.due = false
      const { state, left } = this.live.follow(this.stream)
      this.state = state
      this.left = left
    }
    // hidden pages get no frames
    if (document.hidden) setTimeout(take, 250)
    else requestAnimationFrame(take)
  }
}
