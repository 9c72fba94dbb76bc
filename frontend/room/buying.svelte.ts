import { CommandRefused, stockOf, type Answer, type Claim, type Entry, type Id, type Offer, type Order, type RoomState } from '../sdk'
import { sentence } from '../shared/api'
import type { Announcements } from '../shared/chat/announcements'
import { boot, device } from '../shared/boot'
import { t } from '../shared/i18n'
import type { LiveStream } from '../shared/live.svelte'

export interface Contact {
  name: string
  phone: string
  email: string
  street: string
  postcode: string
  city: string
  country: string
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

export const dueOf = (order: Order) => order.due_minor ?? Math.max(0, order.total_minor - (order.paid_minor ?? 0))

export interface Told {
  key: string
  claim?: Claim
  refusal?: string
  /** A claim whose fate is not known, or that waits for the buyer's word. */
  entry?: Entry
}

/** One's own side of the sale: claims on their way, the answers to them, paying. */
export class Buying {
  /** Answers and open questions, the newest first. */
  told = $state.raw<Told[]>([])
  /** Offers with a claim on its way. */
  sending = $state.raw<ReadonlySet<Id>>(new Set())
  private seen = new Map<string, number>()

  constructor(
    private room: LiveStream,
    private announcer: Announcements,
  ) {
    room.live.outbox.on('change', (entry) => this.follow(entry))
    room.onEvents((events, live) => {
      for (const event of events) {
        if (event.kind === 'claim.answered' && live) this.answer(event.body as Claim)
        if (event.kind === 'turn.offered' && live) announcer.matters(t('turn.yours', { title: titleOf(event.body as any) }))
      }
    })
  }

  claim = (offer: Offer, qty: number) =>
    this.room.do('claim.place', { offer: offer.offer, qty }).catch(() => {})

  /** What the composer sends: words, or a typed claim. */
  say = (text: string, replyTo: Id | null): Promise<Answer> =>
    this.room.do('say', { text, ...(replyTo && { reply_to: replyTo }) })

  dismiss = (key: string) => (this.told = this.told.filter((a) => a.key !== key))

  confirm = (entry: Entry) => this.room.live.outbox.confirm(entry.id)
  discard = (entry: Entry) => this.room.live.outbox.discard(entry.id)

  private follow(entry: Entry): void {
    if (entry.stream !== this.room.stream) return
    const claim = entry.name === 'claim.place' || entry.name === 'say'
    if (!claim) return
    const offer = entry.body.offer as Id | undefined
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
        if (entry.name === 'claim.place' && entry.error && entry.error.code !== 'outbox.discarded') {
          const refusal = sentence(new CommandRefused(entry.error))
          this.told = [{ key: `no-${entry.id}`, refusal }, ...others].slice(0, 3)
          this.announcer.matters(refusal)
        }
        return
      case 'unknown':
      case 'stale':
        this.told = [{ key: entry.id, entry: { ...entry } }, ...others]
        return
      default:
        this.told = others
    }
  }

  private answer(claim: Claim): void {
    // the same answer comes twice: to the command, and to all devices of the person
    const key = JSON.stringify([claim.line, claim.wait, claim.got, claim.waiting, claim.hold_until, claim.place])
    const now = performance.now()
    const before = this.seen.get(key)
    this.seen.set(key, now)
    if (before !== undefined && now - before < 15_000) return
    this.told = [{ key, claim }, ...this.told.filter((a) => a.entry)].slice(0, 3)
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
    return `livesale.contact.${this.room.you?.id ?? boot.person?.id}`
  }

  /** Pay what is set aside. Says whether the form about delivery has to be filled in first. */
  async pay(order: Pick<Order, 'order' | 'stream'>, gateway: string, method?: string): Promise<'left' | 'done'> {
    const answer = await this.room.live.do(order.stream, 'order.pay', {
      order: order.order,
      gateway,
      ...(method && { method }),
    })
    if (!answer.url) return 'done'
    location.assign(answer.url)
    return 'left'
  }
}

export function claimText(claim: Claim): string {
  const title = titleOf(claim)
  if (claim.got && claim.waiting) return t('claim.part', { got: claim.got, title, waiting: claim.waiting, place: claim.place ?? '?' })
  if (claim.got) return t('claim.got', { n: claim.got, title })
  return t('claim.waiting', { title, place: claim.place ?? '?' })
}

export const needsDelivery = (error: unknown) =>
  error instanceof CommandRefused && (error.code.startsWith('delivery.') || error.code.startsWith('contact.'))
