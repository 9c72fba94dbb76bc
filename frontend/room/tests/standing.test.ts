import { describe, expect, test } from 'vitest'
import type { Line, Order } from '../../sdk'
import { outcomeOf, standingOf } from '../standing'

const line = (part: Partial<Line>): Line => ({
  line: 'l', order: 'o', offer: 'f', title: 'Scarf', qty: 3, unit_price_minor: 1990, currency: 'EUR', state: 'held',
  hold_until: 900, extended: false, ...part,
})
const order = (part: Partial<Order>): Order => ({
  order: 'o', number: null, stream: 's', scope: 's', shop: 'h', state: 'open', payment_state: 'unpaid',
  fulfilment_state: 'none', currency: 'EUR', lines: [], waiting: [], adjustments: [], total_minor: 0, paid_minor: 0,
  refunded_minor: 0, delivery_kind: '', delivery_option: null, has_contact: false, hold_until: null, attempt: null, ...part,
})
const TOLD = { qty: 3, until: 500 }

describe('what an answer has told of', () => {
  test('counts as told until the line is among the orders', () => {
    expect(standingOf([], 'l', TOLD)).toEqual({ state: 'held', qty: 3, until: 500 })
    expect(standingOf([order({ lines: [line({ line: 'another' })] })], 'l', TOLD)).toEqual({ state: 'held', qty: 3, until: 500 })
  })

  test('is kept as long as the line says, and as many as are left of it', () => {
    expect(standingOf([order({}), order({ lines: [line({ qty: 2 })] })], 'l', TOLD)).toEqual({ state: 'held', qty: 2, until: 900 })
  })

  test.each(['paid', 'cancelled', 'lapsed', 'refunded'] as const)('is not counted down any more once it is %s', (state) => {
    const orders = [order({ state: 'paid', lines: [line({ state })] })]
    expect(standingOf(orders, 'l', TOLD)).toMatchObject({ state, until: null })
  })
})

test.each([
  ['placed', 'pending', 'checking'],
  ['paid', 'paid', 'paid'],
  ['placed', 'unpaid', 'failed'],
  ['open', 'unpaid', 'failed'],
  ['lapsed', 'unpaid', 'failed'],
  ['cancelled', 'refunded', 'refunded'],
  ['paid', 'part_refunded', 'refunded'],
] as const)('back from paying: an order that is %s and %s is told as %s', (state, payment_state, outcome) => {
  expect(outcomeOf(order({ state, payment_state }))).toBe(outcome)
})

test('nothing is told of an order that has not come yet', () => expect(outcomeOf(undefined)).toBeNull())
