import type { Offer } from '../sdk'
import { minorOf } from '../shared/format'

export interface DropForm {
  countdown: number
  duration: number
  allotment: number
  limit: number | null
  price: string
}

export interface OfferForm {
  price: string
  limit: number | null
  limitTouched: boolean
  waitcap: number
  state: Offer['state']
}

/** What is to change of an offer; null when the price cannot be read. */
export function changeOf(offer: Offer, form: OfferForm): Record<string, unknown> | null {
  const price = minorOf(form.price, offer.currency)
  if (price === null) return null
  const body: Record<string, unknown> = { offer: offer.offer, price_minor: price, waitlist_cap: form.waitcap, state: form.state }
  // in a drop the field shows the drop's limit: untouched, it is not to become the usual one
  if (form.limitTouched) body.limit = form.limit ?? 0
  return body
}

/** What a drop is opened with; null when its price cannot be read: without one it would open at the usual price. */
export function dropOf(offer: Offer, form: DropForm): Record<string, unknown> | null {
  const price = form.price.trim() ? minorOf(form.price, offer.currency) : undefined
  if (price === null) return null
  const body: Record<string, unknown> = { offer: offer.offer, countdown_seconds: form.countdown, duration_seconds: form.duration, allotment: form.allotment }
  if (form.limit) body.limit = form.limit
  if (price !== undefined) body.price_minor = price
  return body
}
