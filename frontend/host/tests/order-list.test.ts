import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { OrderList, type Filter, type ShopOrder } from '../order-list.svelte'

type Row = { order: string; state: Filter; note: string }

/** A shop whose answers take as long as they are told to. */
class Shop {
  rows: Row[] = []
  asked: string[] = []
  takes = 100
  down = false
  failures = 0
  list = new OrderList(
    async (filter, offset, limit) => {
      this.asked.push(`${filter}${offset}+${limit}`)
      const found = this.rows.filter((r) => !filter || r.state === filter)
      const page = { orders: structuredClone(found.slice(offset, offset + limit)) as unknown as ShopOrder[], more: found.length > offset + limit }
      const { down } = this
      await new Promise((done) => setTimeout(done, this.takes))
      if (down) throw new Error('down')
      return page
    },
    () => (this.failures += 1),
  )
  constructor(count: number) {
    for (let i = 0; i < count; i++) this.comes(`o${i}`)
  }
  comes(order: string, state: Filter = 'paid') {
    this.rows.unshift({ order, state, note: '' })
  }
  get shown() {
    return this.list.orders as unknown as Row[]
  }
}

let shop: Shop
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
async function opened(count: number, pages = 1): Promise<Shop> {
  shop = new Shop(count)
  shop.list.show('')
  await pass(500)
  for (let i = 1; i < pages; i++) {
    shop.list.showMore()
    await pass(500)
  }
  shop.asked = []
  return shop
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  shop.list.stop()
  vi.useRealTimers()
})

test('a list that nobody changes is read once', async () => {
  shop = new Shop(3)
  shop.list.show('')
  await pass(60_000)
  expect(shop.asked).toEqual(['0+30'])
  expect(shop.shown).toHaveLength(3)
  expect(shop.list.more).toBe(false)
})

test('many changes are one look; changes without a pause are a look every 1.2 seconds', async () => {
  await opened(3)
  for (let i = 0; i < 5; i++) shop.list.soon()
  await pass(2000)
  expect(shop.asked).toHaveLength(1)
  for (let i = 0; i < 120; i++) {
    shop.list.soon()
    await pass(100)
  }
  expect(shop.asked.length).toBeGreaterThan(8)
  expect(shop.asked.length).toBeLessThan(12)
})

test('a change while the list is read is looked at afterwards', async () => {
  await opened(1)
  shop.takes = 3000
  shop.list.soon()
  await pass(1300)
  shop.comes('late')
  shop.list.soon()
  await pass(10_000)
  expect(shop.shown.map((r) => r.order)).toEqual(['late', 'o0'])
})

test('what was shown stays shown, beyond what the server gives at a time', async () => {
  await opened(450, 8)
  expect(shop.shown).toHaveLength(240)
  expect(shop.list.more).toBe(true)
  shop.rows[235]!.note = 'new'
  shop.list.soon()
  await pass(3000)
  expect(shop.shown).toHaveLength(240)
  expect(shop.shown[235]!.note).toBe('new')
  expect(shop.asked).toEqual(['0+200', '200+40'])
})

test('more is shown also when it is asked for while the list is read', async () => {
  await opened(100)
  shop.list.reload()
  await pass(50)
  shop.list.showMore()
  await pass(1000)
  expect(shop.shown).toHaveLength(60)
})

test('an order that comes between two pages is on none twice', async () => {
  await opened(300, 8)
  shop.list.reload()
  await pass(50)
  shop.comes('late')
  await pass(1000)
  expect(new Set(shop.shown.map((r) => r.order)).size).toBe(shop.shown.length)
})

test('who waits for a reload gets rows that were read after that moment', async () => {
  await opened(1)
  shop.list.reload()
  await pass(50)
  shop.rows[0]!.note = 'new'
  let note = ''
  void shop.list.reload().then(() => (note = shop.shown[0]!.note))
  await pass(1000)
  expect(note).toBe('new')
})

test('without a link it is tried again, and nobody is told that rows are new before they are', async () => {
  await opened(1)
  shop.down = true
  shop.rows[0]!.note = 'new'
  let done = false
  void shop.list.reload().then(() => (done = true))
  await pass(60_000)
  expect(done).toBe(false)
  expect(shop.failures).toBe(1)
  expect(shop.asked.length).toBeLessThan(12)
  shop.down = false
  await pass(30_000)
  expect(done).toBe(true)
  expect(shop.shown[0]!.note).toBe('new')
})

test('another choice begins from the first one, and no answer to the former one is shown under it', async () => {
  await opened(100, 2)
  shop.comes('new', 'open')
  shop.list.reload()
  await pass(50)
  shop.list.show('open')
  expect(shop.shown).toBe(null)
  await pass(60)
  expect(shop.shown).toBe(null)
  await pass(1000)
  expect(shop.shown.map((r) => r.order)).toEqual(['new'])
  expect(shop.asked.at(-1)).toBe('open0+30')
})

test('when the page has gone nothing is read any more', async () => {
  await opened(1)
  shop.down = true
  shop.list.reload()
  shop.list.soon()
  await pass(1000)
  shop.asked = []
  shop.list.stop()
  await pass(60_000)
  expect(shop.asked).toEqual([])
})
