import { describe, expect, test } from 'vitest'
import type { Attempt, Order } from '../../sdk'
import { isToPack, stepsOf } from '../fulfilment'

const order = (part: Partial<Order>): Order => ({
  order: 'o', number: 1, stream: 's', scope: 's', shop: 'h', state: 'paid', payment_state: 'paid',
  fulfilment_state: 'none', currency: 'EUR', lines: [], waiting: [], adjustments: [], total_minor: 0, paid_minor: 0,
  refunded_minor: 0, delivery_kind: 'delivery', delivery_option: null, has_contact: false, hold_until: null, attempt: null, ...part,
})
const attempt = (method: string, state: Attempt['state'] = 'created'): Attempt => ({
  attempt: 'a', gateway: 'manual', state, method, url: null, reference: '', deadline: null, amount_minor: 0,
})

describe('the steps of an order', () => {
  test('a parcel is packed and shipped, and then it is out of our hands', () => {
    expect(stepsOf(order({}))).toEqual(['none', 'packed'])
    expect(stepsOf(order({ fulfilment_state: 'packed' }))).toEqual(['none', 'packed', 'shipped'])
    expect(stepsOf(order({ fulfilment_state: 'shipped' }))).toEqual(['shipped'])
  })
  test('what is picked up lies ready and is handed over', () => {
    expect(stepsOf(order({ delivery_kind: 'pickup', fulfilment_state: 'packed' }))).toEqual(['none', 'packed', 'ready'])
    expect(stepsOf(order({ delivery_kind: 'pickup', fulfilment_state: 'ready' }))).toEqual(['packed', 'ready', 'handed_over'])
  })
  test('what is paid when it is picked up is handed over when it is paid', () => {
    const waits = order({ state: 'placed', delivery_kind: 'pickup', fulfilment_state: 'ready', attempt: attempt('on_pickup') })
    expect(isToPack(waits)).toBe(true)
    expect(stepsOf(waits)).toEqual(['packed', 'ready'])
  })
  test('nothing else that is unpaid is packed', () => {
    expect(isToPack(order({}))).toBe(true)
    for (const part of [{}, { attempt: attempt('transfer') }, { attempt: attempt('on_pickup', 'expired') }])
      expect(isToPack(order({ state: 'placed', ...part }))).toBe(false)
    expect(isToPack(order({ state: 'lapsed', attempt: attempt('on_pickup') }))).toBe(false)
  })
})
