/** One clock for everything that counts down, by the server's time; ticks only while somebody looks at it. */
import { createSubscriber } from 'svelte/reactivity'

let source: () => number = () => Date.now()

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, 250)
  return () => clearInterval(timer)
})

export const time = {
  get now(): number {
    subscribe()
    return source()
  },
  follow(now: () => number): void {
    source = now
  },
}
