import { CommandRefused, uuid7, type Answer, type Id } from '../sdk'
import { rest } from '../shared/api'

/** A command over REST, for pages that follow no stream. A lost answer is asked for once more with the same id. */
export async function run(stream: Id, name: string, body: Record<string, unknown> = {}): Promise<Answer> {
  const headers = { 'Idempotency-Key': uuid7(Date.now(), (n) => crypto.getRandomValues(new Uint8Array(n))) }
  const send = () => rest.post(`streams/${stream}/commands/${name}/`, body, headers)
  try {
    return (await send()).answer
  } catch (error) {
    if ((error as { status?: number }).status !== 0) throw error
    return (await send()).answer
  }
}

export { CommandRefused }
