// Reads {"snapshot": …, "frames": [events and values frames]} and prints the state that a client has afterwards.
// The server's tests compare it with a fresh snapshot. Needs `npm run build`.
import { readFileSync } from 'node:fs'
import { fromSnapshot, withFrame, withValues } from '../dist/sdk/livesale.js'

const { snapshot, frames } = JSON.parse(readFileSync(0, 'utf8'))
let state = fromSnapshot(snapshot)
for (const frame of frames) {
  if (frame.type === 'values') {
    state = withValues(state, frame.values)
  } else {
    const applied = withFrame(state, frame)
    if (applied.gap) throw new Error(`gap: have ${state.seq}, frame begins at ${frame.first}`)
    state = applied.state
  }
}
// A fresh snapshot brings the newest messages only.
state.public.messages &&= state.public.messages.slice(-50)
process.stdout.write(JSON.stringify(state))
