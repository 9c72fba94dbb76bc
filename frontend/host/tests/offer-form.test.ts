import { describe, expect, test, vi } from 'vitest'
import type { Offer } from '../../sdk'
import { dropOf } from '../offer-form'

vi.mock('../../shared/boot', () => ({ boot: { language: 'en' } }))

const offer: Offer = {
  offer: 'o', code: '12', title: 'Scarf', label: '', product: 'p', variant: 'v', image: null, price_minor: 1990,
  currency: 'EUR', limit: null, waitlist_cap: 50, hold_seconds: 600, position: 0, state: 'open', drop: null,
}

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
