/** What a screen reader is told of a room: at most one sentence in three seconds; many messages become one. */
export const EVERY_MS = 3_000

export interface Said {
  text: string
  urgent: boolean
}

export class Announcements {
  private urgent: string[] = []
  private chat: string[] = []
  private wake: (() => void) | null = null

  /** "You got it", "sold out", "your turn": said before any chat, one after the other. */
  matters(text: string): void {
    this.urgent.push(text)
    this.urgent.splice(0, this.urgent.length - 3)
    this.wake?.()
  }

  message(text: string): void {
    this.chat.push(text)
    this.wake?.()
  }

  /** What is to be said now, if anything. */
  next(many: (n: number) => string): Said | null {
    const first = this.urgent.shift()
    if (first !== undefined) return { text: first, urgent: true }
    const waiting = this.chat
    this.chat = []
    if (!waiting.length) return null
    return { text: waiting.length === 1 ? waiting[0]! : many(waiting.length), urgent: false }
  }

  run(say: (said: Said) => void, many: (n: number) => string, every = EVERY_MS): () => void {
    let timer: ReturnType<typeof setTimeout> | null = null
    const turn = () => {
      timer = null
      const said = this.next(many)
      if (!said) return
      say(said)
      timer = setTimeout(turn, every)
    }
    // a moment's wait gathers what comes together
    this.wake = () => (timer ??= setTimeout(turn, 150))
    return () => {
      if (timer) clearTimeout(timer)
      this.wake = null
    }
  }
}
