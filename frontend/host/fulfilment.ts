import type { Order } from '../sdk'

type State = Order['fulfilment_state']

/** Where an order may go from where it is; the server has the same, and says no to everything else. */
const NEXT: Record<State, State[]> = {
  none: ['packed'],
  packed: ['none', 'shipped', 'ready'],
  shipped: [],
  ready: ['packed', 'handed_over'],
  handed_over: [],
}
const ALL: State[] = ['none', 'packed', 'ready', 'shipped', 'handed_over']
const GONE: State[] = ['shipped', 'handed_over']

/** Whether it is time to pack: what is paid, and what will be paid when it is picked up. */
export const isToPack = (order: Order): boolean =>
  order.state === 'paid' ||
  (order.state === 'placed' && order.attempt?.method === 'on_pickup' && ['created', 'pending'].includes(order.attempt.state))

/** The state of an order and those it may have next, in their order. Nothing leaves the shop that is not paid. */
export function stepsOf(order: Order): State[] {
  const not: State = order.delivery_kind === 'pickup' ? 'shipped' : 'ready'
  const next = NEXT[order.fulfilment_state].filter((s) => s !== not && (order.state === 'paid' || !GONE.includes(s)))
  return ALL.filter((s) => s === order.fulfilment_state || next.includes(s))
}
