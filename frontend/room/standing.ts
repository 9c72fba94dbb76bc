/** What has become of one's own things, read from the orders alone: no clock, no page. */
import type { Id, Line, Order } from '../sdk'

export interface Standing {
  state: Line['state']
  qty: number
  /** Until when it is kept, while it is kept. */
  until: number | null
}

/**
 * How it stands with a line that somebody was told of. What was told then counts only until the line has come into the
 * orders: from then on it may have been paid, given back in part, passed on, or its time may be over.
 */
export function standingOf(orders: Order[], line: Id | null, told: { qty: number; until: number | null }): Standing {
  const found = orders.flatMap((o) => o.lines).find((l) => l.line === line)
  if (!found) return { state: 'held', ...told }
  const { state, qty, hold_until } = found
  return { state, qty, until: state === 'held' ? hold_until : null }
}

/** What to tell somebody who comes back from paying; null as long as their order is not known. */
export function outcomeOf(order: Order | undefined): 'paid' | 'checking' | 'failed' | 'refunded' | null {
  if (!order) return null
  switch (order.payment_state) {
    case 'pending':
      return 'checking'
    case 'unpaid':
      return 'failed'
    case 'paid':
      return 'paid'
    default:
      return 'refunded'
  }
}
