export type Listener<T> = (value: T) => void

/** Listeners by topic. A listener that throws does not keep the others from hearing. */
export class Emitter<Topics extends object> {
  private listeners = new Map<keyof Topics, Set<Listener<any>>>()

  on<K extends keyof Topics>(topic: K, listener: Listener<Topics[K]>): () => void {
    let set = this.listeners.get(topic)
    if (!set) this.listeners.set(topic, (set = new Set()))
    set.add(listener)
    return () => set.delete(listener)
  }

  protected emit<K extends keyof Topics>(topic: K, value: Topics[K]): void {
    for (const listener of [...(this.listeners.get(topic) ?? [])]) {
      try {
        listener(value)
      } catch (error) {
        console.error(error)
      }
    }
  }
}
