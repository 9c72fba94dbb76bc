import type { Id } from '../sdk'

/** A refund that has not been carried out, as the shop's orders name it. */
export interface OpenRefund {
  refund: Id
  gateway: string
  state: 'due' | 'failed'
  amount_minor: number
  currency: string
  since: number
}
