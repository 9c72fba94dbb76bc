import type { Claim, Entry, Line } from '../sdk'

export interface Told {
  key: string
  claim?: Claim
  refusal?: string
  /** Offered from the waiting list. */
  turn?: Line
  /** A claim whose fate is not known, or that waits for the buyer's word. */
  entry?: Entry
}

/** The newest first. Answers make room for newer ones; what is asked stays until the person has answered. */
export function withCard(told: Told[], card: Told): Told[] {
  const others = told.filter((a) => a.key !== card.key)
  return [card, ...others.filter((a) => a.entry), ...others.filter((a) => !a.entry).slice(0, 2)]
}
