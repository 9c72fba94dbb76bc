/** What to do when a socket has closed. The number alone decides, never the reason, which not every server sends. */
export type Reaction = 'resume' | 'wait' | 'stop' | 'backoff'

export const CLOSE = {
  slow: 4000,
  goingAway: 4001,
  silent: 4002,
  busy: 4100,
  tooManyErrors: 4400,
  signInAgain: 4401,
  origin: 4403,
  tooManySockets: 4409,
  tooOld: 4426,
} as const

export function reactionTo(code: number): Reaction {
  if (code >= 4000 && code < 4100) return 'resume'
  if (code >= 4100 && code < 4200) return 'wait'
  if (code >= 4400 && code < 4500) return 'stop'
  // 1000 and 1001 too: a proxy or a server that goes away uses them, and they never mean "finished" here.
  return 'backoff'
}
