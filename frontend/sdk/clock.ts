import type { Environment } from './environment'
import type { Moment } from './types'

interface Sample {
  offset: number
  rtt: number
}

/**
 * The server's clock on this device, by Cristian's method: of the last samples the one with the shortest round trip
 * counts. It runs on monotonic time, so a device clock that is wrong or is being set does not matter.
 */
export class ServerClock {
  private samples: Sample[] = []
  private best: Sample | null = null

  constructor(private env: Pick<Environment, 'monotonic' | 'wall'>) {}

  /** `sent` and `received` are monotonic milliseconds, `time` is what the server said in between. */
  sample(sent: number, received: number, time: Moment): void {
    const rtt = Math.max(0, received - sent)
    const sample = { offset: time + rtt / 2 - received, rtt }
    // The truth lies within half a round trip of every sample. One that contradicts the best means that monotonic
    // time stood still while the device slept: what was known before is void.
    const slack = 250
    if (this.best && Math.abs(sample.offset - this.best.offset) > (sample.rtt + this.best.rtt) / 2 + slack) {
      this.samples = []
    }
    this.samples = [...this.samples.slice(-7), sample]
    this.best = this.samples.reduce((a, b) => (b.rtt < a.rtt ? b : a))
  }

  get synchronised(): boolean {
    return this.best !== null
  }

  /** Unix milliseconds, as the server would say now. */
  now(): Moment {
    return this.best ? this.env.monotonic() + this.best.offset : this.env.wall()
  }
}
