import { CommandRefused, heldLines, stockOf, type Answer, type Claim, type Delivery, type Entry, type Id, type Line, type Offer, type Order, type RoomState, type Word } from '../sdk'
import { rest, sentence } from '../shared/api'
import type { Announcements } from '../shared/chat/announcements'
import { boot, device } from '../shared/boot'
import { t } from '../shared/i18n'
import { site, type LiveStream } from '../shared/live.svelte'
import { withCard, type Told } from './cards'

/** What is needed of a contact for this way of getting the goods; null when something is missing. */
export function contactFor(option: Delivery, contact: Contact): Record<string, string> | null {
  const fields = option.kind === 'pickup' ? (['name', 'phone', 'email'] as const) : (['name', 'phone', 'email', 'street', 'postcode', 'city', 'country'] as const)
  const needed = option.kind === 'pickup' ? ['name'] : ['name', 'street', 'postcode', 'city']
  const plain = Object.fromEntries(fields.map((f) => [f, (contact[f] ?? '').trim()]).filter(([, v]) => v)) as Record<string, string>
  return needed.every((f) => plain[f]) ? plain : null
}

export const NOBODY: Contact = { name: '', phone: '', email: '', street: '', postcode: '', city: '', country: '' }

export interface Contact {
  name: string
  phone: string
  email: string
  street: string
  postcode: string
  city: string
  country: string
  /** The way of getting goods that was chosen last. */
  option?: Id
}

export type Phase =
  | { is: 'open' }
  | { is: 'soon'; at: number }
  | { is: 'over' | 'notYet' | 'paused' | 'ended' | 'soldOut' }
  | { is: 'waitlist' }

/** What can be done with an offer at a moment of the server's clock. The server alone decides; this only shows. */
export function phaseOf(state: RoomState, offer: Offer, now: number): Phase {
  const sale = state.sale
  if (!sale || sale.state === 'ended') return { is: 'ended' }
  if (sale.state === 'scheduled') return { is: 'notYet' }
  if (sale.state === 'paused') return { is: 'paused' }
  if (offer.drop && now < offer.drop.opens_at) return { is: 'soon', at: offer.drop.opens_at }
  if (offer.state === 'closed' || (offer.drop && now >= offer.drop.closes_at)) return { is: 'over' }
  if (offer.state === 'queued') return { is: 'notYet' }
  const stock = stockOf(state, offer.offer)
  if (stock && stock.free <= 0) return { is: stock.waiting < offer.waitlist_cap ? 'waitlist' : 'soldOut' }
  return { is: 'open' }
}

/** Other sizes and kinds of the same thing. */
export const siblings = (state: RoomState, offer: Offer): Offer[] =>
  (state.sale?.offers ?? []).filter((o) => o.product === offer.product && (o.offer === offer.offer || o.state !== 'closed'))

export const titleOf = (thing: { title: string; label?: string }) =>
  thing.label && !thing.title.includes(thing.label) ? `${thing.title} · ${thing.label}` : thing.title

/** What this installation can do; everything, as long as no `hello` has said it. */
export const offers = (feature: 'pay.sandbox' | 'pay.manual') => !site.features.length || site.features.includes(feature)

export const dueOf = (order: Order) => Math.max(0, order.total_minor - order.paid_minor + order.refunded_minor)

/** One's own side of the sale: claims on their way, the answers to them, paying. */
export class Buying {
  /** Answers and open questions, the newest first. */
  told = $state.raw<Told[]>([])
  /** Offers with a claim on its way. */
  sending = $state.raw<ReadonlySet<Id>>(new Set())
  /** Lines, places and orders with a command on its way: a second tap would be a second command. */
  acting = $state.raw<ReadonlySet<Id>>(new Set())
  private seen = new Map<string, number>()

  constructor(
    private room: LiveStream,
    private announcer: Announcements,
  ) {
    site.live.outbox.on('change', (entry) => this.follow(entry))
    room.onEvents((events, live) => {
      for (const event of events) {
        if (event.kind === 'claim.answered' && live) this.answer(event.body as Claim)
        if (event.kind === 'order.changed') this.turns([event.body as Order], live)
      }
    })
  }

  claim = (offer: Offer, qty: number) =>
    this.room.do('claim.place', { offer: offer.offer, qty }).catch(() => {})

  /** What the composer sends: words, or a typed claim. */
  say = (text: string, replyTo: Id | null): Promise<Answer> =>
    this.room.do('say', { text, ...(replyTo && { reply_to: replyTo }) })

  dismiss = (key: string) => (this.told = this.told.filter((a) => a.key !== key))

  confirm = (entry: Entry) => site.live.outbox.confirm(entry.id)
  discard = (entry: Entry) => site.live.outbox.discard(entry.id)

  /** Do something with a line, a place in the list or an order of one's own, once at a time; its button keeps the focus. */
  async act(of: Id, stream: Id, name: string, body: Record<string, unknown>): Promise<void> {
    if (this.acting.has(of)) return
    this.acting = new Set([...this.acting, of])
    try {
      await site.live.do(stream, name, body)
    } finally {
      this.acting = new Set([...this.acting].filter((id) => id !== of))
    }
  }

  private follow(entry: Entry): void {
    if (entry.stream !== this.room.stream) return
    // what staff order for somebody is answered where they do it
    const claim = ['claim.place', 'say', 'buy'].includes(entry.name) && entry.body.buyer === undefined
    if (!claim) return
    const offer = (entry.body.offer ?? entry.body.variant) as Id | undefined
    if (offer) {
      const sending = new Set(this.sending)
      if (entry.state === 'sending' || entry.state === 'unknown') sending.add(offer)
      else sending.delete(offer)
      this.sending = sending
    }
    const others = this.told.filter((a) => a.key !== entry.id)
    switch (entry.state) {
      case 'confirmed': {
        this.told = others
        const answer = entry.name === 'say' ? entry.answer?.claim : entry.answer
        if (answer) this.answer(answer as Claim)
        return
      }
      case 'refused':
        this.told = others
        // what was typed is answered where it was typed
        if (entry.name !== 'say' && entry.error && entry.error.code !== 'outbox.discarded') {
          const refusal = sentence(new CommandRefused(entry.error))
          this.show({ key: `no-${entry.id}`, refusal })
          this.announcer.matters(refusal)
        }
        return
      case 'unknown':
      case 'stale':
        this.show({ key: entry.id, entry: { ...entry } })
        return
      default:
        this.told = others
    }
  }

  private show(card: Told): void {
    this.told = withCard(this.told, card)
  }

  /** Tell of turns from the waiting list, once each. */
  private turns(orders: Order[], aloud: boolean): void {
    for (const line of heldLines(orders)) {
      if (!line.turn || this.seen.has(line.line)) continue
      this.seen.set(line.line, 0)
      if (!aloud) continue
      const text = t('turn.yours', { title: titleOf(line) })
      this.show({ key: `turn-${line.line}`, turn: line })
      this.announcer.matters(text)
      navigator.vibrate?.([60, 40, 60])
    }
  }

  private answer(claim: Claim): void {
    // the same answer comes twice: to the command, and to all devices of the person
    const key = JSON.stringify([claim.line, claim.wait, claim.got, claim.waiting, claim.hold_until, claim.place])
    const now = performance.now()
    const before = this.seen.get(key)
    this.seen.set(key, now)
    if (before !== undefined && now - before < 15_000) return
    this.told = this.told.filter((a) => a.entry || a.turn)
    this.show({ key, claim })
    this.announcer.matters(claimText(claim))
    navigator.vibrate?.(claim.got ? 60 : [30, 60, 30])
  }

  // --- paying -----------------------------------------------------------------------------------------------------

  /** Remembered on this device only, and only if the buyer wants it. */
  get contact(): Contact | null {
    try {
      return JSON.parse(device.getItem(this.contactKey) ?? 'null')
    } catch {
      return null
    }
  }

  remember(contact: Contact | null): void {
    if (contact) device.setItem(this.contactKey, JSON.stringify(contact))
    else device.removeItem(this.contactKey)
  }

  private get contactKey(): string {
    return `livesale.contact.${site.you?.id ?? boot.person?.id}`
  }

  private shopOptions: Promise<Delivery[]> | null = null

  /** The shop's ways to get the goods. */
  options(shop: Id): Promise<Delivery[]> {
    this.shopOptions ??= rest.get(`shops/${shop}/`).then((card) => card.delivery ?? [])
    this.shopOptions.catch(() => (this.shopOptions = null))
    return this.shopOptions
  }

  /** Everything that has to be asked is known: pay at once. False when the basket has to ask first. */
  async express(order: Order): Promise<boolean> {
    if (!offers('pay.sandbox')) return false
    const word = site.live.outbox.word()
    if (!order.delivery_kind || !order.has_contact) {
      const options = await this.options(order.shop)
      const known = this.contact
      const only = options.length === 1 ? options[0]! : null
      const option = options.find((o) => o.option === known?.option) ?? (only?.kind === 'pickup' ? only : null)
      if (option) {
        const contact = contactFor(option, known ?? { ...NOBODY, name: site.you?.name ?? '' })
        if (!contact) return false
        await site.live.do(order.stream, 'order.deliver', { order: order.order, option: option.option, contact }, word)
      } else if (options.length) return false
    }
    await this.pay(order, 'sandbox', undefined, word)
    return true
  }

  /** Pay what is set aside, as the buyer said at the moment of `word`. Says whether the page is being left for it. */
  async pay(order: Pick<Order, 'order' | 'stream'>, gateway: string, method?: string, word?: Word): Promise<'left' | 'done'> {
    const body = { order: order.order, gateway, ...(method && { method }) }
    const answer = await site.live.do(order.stream, 'order.pay', body, word)
    if (!answer.url) return 'done'
    location.assign(answer.url)
    return 'left'
  }
}

export function claimText(claim: Claim): string {
  const title = titleOf(claim)
  if (claim.got && claim.waiting) return t('claim.part', { got: claim.got, title, waiting: claim.waiting, place: claim.place ?? '?' })
  if (claim.got) return t('claim.got', { n: claim.got, title }) + (claim.missed ? ` ${t('claim.missed')}` : '')
  return t('claim.waiting', { title, place: claim.place ?? '?' })
}

export const needsDelivery = (error: unknown) =>
  error instanceof CommandRefused && (error.code.startsWith('delivery.') || error.code.startsWith('contact.'))
