import { locale } from './i18n'

const cache = new Map<string, { format: Intl.NumberFormat; scale: number }>()

function currencyOf(currency: string) {
  let found = cache.get(currency)
  if (!found) {
    let format: Intl.NumberFormat
    try {
      format = new Intl.NumberFormat(locale, { style: 'currency', currency })
    } catch {
      format = new Intl.NumberFormat(locale, { minimumFractionDigits: 2 })
    }
    found = { format, scale: 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2) }
    cache.set(currency, found)
  }
  return found
}

/** 1250, EUR → €12.50 */
export function money(minor: number, currency: string): string {
  const { format, scale } = currencyOf(currency)
  return format.format(minor / scale)
}

/** What a person typed as an amount, in minor units; null when it is none. Both 12.50 and 12,50 are meant. */
export function minorOf(typed: string, currency: string): number | null {
  const { scale } = currencyOf(currency)
  const plain = typed.trim().replace(/[^\d.,]/g, '').replace(/[.,](?=\d{3}(\D|$))/g, '').replace(',', '.')
  if (!/^\d+(\.\d*)?$/.test(plain)) return null
  return Math.round(Number(plain) * scale)
}

/** Minor units as one would type them. */
export function typedAmount(minor: number, currency: string): string {
  const { scale } = currencyOf(currency)
  return (minor / scale).toFixed(Math.round(Math.log10(scale)))
}

const number = new Intl.NumberFormat(locale)
const compact = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 })
const clockTime = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' })
const dayTime = new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })

export const count = (n: number) => (n < 10_000 ? number.format(n) : compact.format(n))
export const hour = (ms: number) => clockTime.format(ms)
export const day = (ms: number) => dayTime.format(ms)

/** 0:07, 12:30, 1:02:03. Rounded up, so that 0:00 is really over. */
export function left(ms: number): string {
  const s = Math.max(0, Math.ceil(ms / 1000))
  const pad = (n: number) => String(n).padStart(2, '0')
  const h = Math.floor(s / 3600)
  return h ? `${h}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}` : `${Math.floor(s / 60)}:${pad(s % 60)}`
}
