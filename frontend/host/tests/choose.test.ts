import { expect, test } from 'vitest'
import { choose } from '../choose'

test('what was refused does not stay chosen', async () => {
  const field = { value: 'packed' }
  let state = 'none'
  await choose(field, async () => false, () => state)
  expect(field.value).toBe('none')
  field.value = '30'
  await choose(field, async () => false, () => 0)
  expect(field.value).toBe('0')
  // what it has become meanwhile, not what it was when it was chosen
  field.value = 'packed'
  await choose(field, async () => ((state = 'ready'), false), () => state)
  expect(field.value).toBe('ready')
})

test('what was taken stays chosen, before the page has heard of it', async () => {
  const field = { value: 'packed' }
  let sent = ''
  await choose(field, async (value) => ((sent = value), true), () => 'none')
  expect([sent, field.value]).toEqual(['packed', 'packed'])
})
