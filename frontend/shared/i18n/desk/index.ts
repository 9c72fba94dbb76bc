import { fill, language, type Params, type Text } from '..'
import { en } from './en'

export type DeskKey = keyof typeof en
export type DeskCatalogue = Record<DeskKey, Text>

let texts: Record<string, Text> = en

/** Load the staff's texts in the page's language. */
export async function loadDesk(): Promise<void> {
  const others: Record<string, () => Promise<{ default: DeskCatalogue }>> = {
    de: () => import('./de'),
    zh: () => import('./zh-hans'),
  }
  const load = others[language.split('-')[0] ?? '']
  if (!load) return
  try {
    texts = { ...en, ...(await load()).default }
  } catch {
    // English is better than nothing
  }
}

export function d(key: DeskKey, params?: Params): string {
  return fill(texts[key], params)
}

