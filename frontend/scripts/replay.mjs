// Reads {"snapshot": …, "frames": [events and values frames], "fresh": a later snapshot?} and prints {"state", "fresh"}:
// what a client has after the frames, and what it would have from the later snapshot. The server's tests compare the
// two. Needs `npm run build`.
import { readFileSync } from 'node:fs'
import { MESSAGES_IN_SNAPSHOT, fromSnapshot, withFrame, withValues } from '../dist/sdk/livesale.js'

const { snapshot, frames, fresh } = JSON.parse(readFileSync(0, 'utf8'))
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
state = { ...state, messages: state.messages.slice(-MESSAGES_IN_SNAPSHOT) }
process.stdout.write(JSON.stringify({ state, fresh: fresh ? fromSnapshot(fresh) : null }))
