import { safeStorage, type Id, type Person } from '../sdk'

/** What the server has written into the page. */
export interface Boot {
  page: string
  room: Id | null
  shop: Id | null
  person: Person | null
  language: string
  csrf: string
  crowd_ceiling?: number
  [more: string]: unknown
}

export const boot: Boot = {
  page: '',
  room: null,
  shop: null,
  person: null,
  language: 'en',
  csrf: '',
  ...JSON.parse(document.getElementById('boot')?.textContent || '{}'),
}

/** The cookie is newer than the page after signing in; some deployments hide it, then the page's own counts. */
export function csrf(): string {
  return /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? boot.csrf
}

export const device = safeStorage(() => window.localStorage)
export const tab = safeStorage(() => window.sessionStorage)
