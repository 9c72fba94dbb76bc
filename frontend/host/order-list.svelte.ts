import type { Order } from '../sdk'
import type { OpenRefund } from './refunds'

export type ShopOrder = Order & { buyer: { person: string; name: string }; contact: Record<string, string> | null; note: string; due_minor: number; refunds: OpenRefund[]; placed_at: number | null; created_at: number }
export type Filter = '' | 'open' | 'placed' | 'paid' | 'cancelled' | 'lapsed'
type Read = (filter: Filter, offset: number, limit: number) => Promise<{ orders: ShopOrder[]; more: boolean }>

const PAGE = 30
/** The server gives no more at a time. */
const MOST = 200
const PAUSE_MS = 1200
const LONGEST_PAUSE_MS = 10_000

/** The shop's orders, from the newest to the last that was asked for; read one reading at a time. */
export class OrderList {
  orders = $state.raw<ShopOrder[] | null>(null)
  more = $state(false)
  private filter: Filter = ''
  private wanted = PAGE
  private last = Promise.resolve()
  private next: Promise<void> | null = null
  private timer: ReturnType<typeof setTimeout> | null = null
  private stopped = false

  constructor(
    private read: Read,
    private failed: (error: unknown) => void,
  ) {}

  show(filter: Filter): void {
    this.filter = filter
    this.wanted = PAGE
    this.orders = null
    this.more = false
    void this.reload()
  }

  showMore(): void {
    this.wanted += PAGE
    void this.reload()
  }

  /** Many changes are one look. The timer is not set anew: in a rush the look would never come. */
  soon(): void {
    this.timer ??= setTimeout(() => void this.reload(), PAUSE_MS)
  }

  /** Settled when what is shown was read after this moment: a reading that has begun may not know of it. */
  reload(): Promise<void> {
    return (this.next ??= this.last = this.last.then(() => {
      this.next = null
      return this.take()
    }))
  }

  stop(): void {
    this.stopped = true
    this.forget()
  }

  private forget(): void {
    if (this.timer) clearTimeout(this.timer)
    this.timer = null
  }

  private async take(): Promise<void> {
    for (let pause = PAUSE_MS; !this.stopped; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
      this.forget()
      const { filter, wanted } = this
      try {
        // by their ids: while pages are read an order may move from one to the next
        const found = new Map<string, ShopOrder>()
        let more = true
        for (let offset = 0; more && offset < wanted; offset += MOST) {
          const page = await this.read(filter, offset, Math.min(MOST, wanted - offset))
          for (const order of page.orders) found.set(order.order, order)
          more = page.more
        }
        if (filter !== this.filter) return
        this.orders = [...found.values()]
        this.more = more
        return
      } catch (error) {
        if (pause === PAUSE_MS) this.failed(error)
        await new Promise((done) => setTimeout(done, pause))
      }
    }
  }
}
