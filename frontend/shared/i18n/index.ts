/** Texts of the pages. English is complete and gives the types; the other languages are loaded only when they are wanted. */
import { boot } from '../boot'
import { en } from './en'
import type { more } from './en-more'

type Plural = { [category in Intl.LDMLPluralRule]?: string } & { other: string }
export type Text = string | Plural
export type Key = keyof typeof en | keyof typeof more
export type Catalogue = Record<Key, Text>

export const language: string = boot.language || 'en'
/** For Intl, which knows zh-Hans but not zh-hans as Django writes it. */
export const locale: string = (() => {
  try {
    return Intl.getCanonicalLocales(language)[0] ?? 'en'
  } catch {
    return 'en'
  }
})()

const others: Record<string, () => Promise<{ default: Catalogue }>> = {
  de: () => import('./de'),
  zh: () => import('./zh-hans'),
}

let texts: Record<string, Text> = en
const plural = new Intl.PluralRules(locale)
const number = new Intl.NumberFormat(locale)

export async function loadTexts(): Promise<void> {
  const load = others[language.split('-')[0] ?? '']
  if (!load) return
  try {
    texts = { ...texts, ...(await load()).default }
  } catch {
    // English is better than nothing
  }
}


/** What a part of the page brings along; never over another language. */
export function addEnglish(more: Record<string, Text>): void {
  texts = { ...more, ...texts }
}

export type Params = Record<string, string | number>

export function fill(text: Text | undefined, params: Params = {}): string {
  if (text === undefined) return ''
  const chosen = typeof text === 'string' ? text : (text[plural.select(Number(params.n ?? 0))] ?? text.other)
  return chosen.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name]
    return typeof value === 'number' ? number.format(value) : (value ?? '')
  })
}

export function t(key: Key, params?: Params): string {
  return fill(texts[key], params)
}

/** For keys made at run time: nothing where there is no such text. */
export function maybe(key: string, params?: Params): string {
  return fill(texts[key], params)
}
