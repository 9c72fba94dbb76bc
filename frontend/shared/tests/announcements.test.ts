import { expect, test, vi } from 'vitest'
import { Announcements, type Said } from '../chat/announcements'

test('fifty messages a second are one sentence in three seconds; what matters comes first', () => {
  vi.useFakeTimers()
  const source = new Announcements()
  const said: (Said & { at: number })[] = []
  const start = Date.now()
  const stop = source.run((s) => said.push({ ...s, at: Date.now() - start }), (n) => `${n} new messages`)
  for (let i = 0; i < 50 * 12; i++) {
    source.message(`message ${i}`)
    if (i === 200) source.matters('Yours: 1 × Shirt')
    vi.advanceTimersByTime(20)
  }
  expect(said.length).toBeLessThanOrEqual(5)
  for (let i = 1; i < said.length; i++) expect(said[i]!.at - said[i - 1]!.at).toBeGreaterThanOrEqual(3_000)
  const urgent = said.findIndex((s) => s.urgent)
  expect(said[urgent]).toMatchObject({ text: 'Yours: 1 × Shirt' })
  expect(said[urgent]!.at - 200 * 20).toBeLessThanOrEqual(3_000)
  stop()
  vi.useRealTimers()
})

test('a single message is read as it is, and quiet needs no timer', () => {
  vi.useFakeTimers()
  const source = new Announcements()
  const said: Said[] = []
  source.run((s) => said.push(s), (n) => `${n}`)
  source.message('Ada: hello')
  vi.advanceTimersByTime(200)
  expect(said).toEqual([{ text: 'Ada: hello', urgent: false }])
  vi.advanceTimersByTime(10_000)
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})
