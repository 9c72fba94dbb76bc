import { expect, test } from 'vitest'
import type { Entry } from '../../sdk'
import { withCard, type Told } from '../cards'

const asked = (key: string): Told => ({ key, entry: { id: key, state: 'stale' } as Entry })
const keys = (told: Told[]) => told.map((card) => card.key)

test('answers make room for newer ones, what is asked does not', () => {
  let told: Told[] = []
  for (const n of [1, 2, 3, 4, 5]) told = withCard(told, asked(`asked ${n}`))
  for (const n of [1, 2, 3, 4, 5]) told = withCard(told, { key: `no ${n}`, refusal: 'Sold out.' })
  expect(keys(told)).toEqual(['no 5', 'asked 5', 'asked 4', 'asked 3', 'asked 2', 'asked 1', 'no 4', 'no 3'])
})

test('a card that is shown already is shown once, on top', () => {
  const told = withCard([{ key: 'no', refusal: 'Busy.' }, asked('a')], asked('a'))
  expect(keys(told)).toEqual(['a', 'no'])
})
