import { describe, expect, test, vi } from 'vitest'
import type { Offer } from '../../sdk'
import { changeOf, dropOf } from '../offer-form'

vi.mock('../../shared/boot', () => ({ boot: { language: 'en' } }))

const offer: Offer = {
  offer: 'o', code: '12', title: 'Scarf', label: '', product: 'p', variant: 'v', image: null, price_minor: 1990,
  currency: 'EUR', limit: null, waitlist_cap: 50, hold_seconds: 600, position: 0, state: 'open', drop: null,
}

describe('the form of an offer', () => {
  const form = { price: '19.90', limit: 3, limitTouched: true, waitcap: 50, state: 'open' as const }
  const asked = { offer: 'o', price_minor: 1990, waitlist_cap: 50, state: 'open' }

  test('a limit is set, changed, and lifted by emptying the field', () => {
    expect(changeOf(offer, form)).toEqual({ ...asked, limit: 3 })
    expect(changeOf(offer, { ...form, limit: null })).toEqual({ ...asked, limit: 0 })
  })
  test('a limit that nobody touched is not sent: in a drop the form shows that of the drop', () => {
    expect(changeOf(offer, { ...form, limitTouched: false })).toEqual(asked)
    expect(changeOf(offer, { ...form, limit: null, limitTouched: false })).toEqual(asked)
  })
  test('a price that cannot be read changes nothing', () => {
    for (const price of ['', ' ', '.99', 'ten']) expect(changeOf(offer, { ...form, price })).toBe(null)
  })
})

describe('a drop', () => {
  const form = { countdown: 10, duration: 60, allotment: 5, limit: null, price: '' }
  const asked = { offer: 'o', countdown_seconds: 10, duration_seconds: 60, allotment: 5 }

  test('without a price and a limit of its own it has the usual ones', () => {
    expect(dropOf(offer, form)).toEqual(asked)
    expect(dropOf(offer, { ...form, price: ' ' })).toEqual(asked)
  })
  test('its price is what was typed', () => {
    expect(dropOf(offer, { ...form, price: '9,99', limit: 1 })).toEqual({ ...asked, price_minor: 999, limit: 1 })
    expect(dropOf(offer, { ...form, price: '0' })).toEqual({ ...asked, price_minor: 0 })
  })
  test('a price that cannot be read opens none', () => {
    for (const price of ['.99', ',99', 'ten', '€', '9.9.9']) expect(dropOf(offer, { ...form, price })).toBe(null)
  })
})
