/** Which parts of a text become links: addresses with http:// or https:// written out, nothing else. */
import type { Room } from '../../sdk'

export interface Piece {
  text: string
  /** Where it leads, if it is a link. */
  href?: string
}

const ADDRESS = /(?<![\p{L}\p{N}_.@-])https?:\/\/[^\s<>"'`{}|\\^]+/giu
// What ends a sentence, not an address.
const AFTER = /[.,;:!?…。，、！？；：»”’*_~]+$/u
const STAFF = ['owner', 'host', 'moderator']

/** Whether the room makes links of the addresses that somebody of that role has written. */
export function linksOf(room: Pick<Room, 'links'>, role: string): boolean {
  return room.links === 'everybody' || (room.links === 'staff' && STAFF.includes(role))
}

/** An address without what the sentence around it has put behind it. */
function bare(found: string): string {
  for (;;) {
    const shorter = found.replace(AFTER, '')
    const closed = /[)\]]$/.test(shorter)
    const opened = closed && shorter.includes(shorter.endsWith(')') ? '(' : '[')
    const next = closed && !opened ? shorter.slice(0, -1) : shorter
    if (next === found) return found
    found = next
  }
}

function link(raw: string): Piece | null {
  let url: URL
  try {
    url = new URL(raw)
  } catch {
    return null
  }
  // a name before the @ is there to be taken for the site's
  if (!/^https?:$/.test(url.protocol) || url.username || url.password) return null
  const [, authority, rest] = /^https?:\/\/([^/?#]*)(.*)$/isu.exec(raw)!
  // letters that look like others: what the browser will go to is what is read
  const text = authority!.toLowerCase() === url.host ? raw : `${url.protocol}//${url.host}${rest}`
  return { text, href: url.href }
}

export function pieces(text: string): Piece[] {
  const found: Piece[] = []
  let at = 0
  for (const match of text.matchAll(ADDRESS)) {
    const raw = bare(match[0])
    const made = link(raw)
    if (!made) continue
    if (match.index > at) found.push({ text: text.slice(at, match.index) })
    found.push(made)
    at = match.index + raw.length
  }
  if (at < text.length) found.push({ text: text.slice(at) })
  return found
}
