// What the SDK makes of a journal: {"journal": [joined, events and values frames], "fresh": a snapshot} on stdin,
// {"state", "fresh"} on stdout. The state must be what the fresh snapshot says.
import { readFileSync } from 'node:fs'
import { MESSAGES_IN_SNAPSHOT, fromSnapshot, withFrame, withValues } from '../../frontend/dist/sdk/livesale.js'

const { journal, fresh } = JSON.parse(readFileSync(0, 'utf8'))
let state = null
for (const frame of journal) {
  if (frame.type === 'joined') state = fromSnapshot(frame.snapshot)
  else if (frame.type === 'values') state = withValues(state, frame.values)
  else {
    const applied = withFrame(state, frame)
    if (applied.gap) throw new Error(`gap: have ${state.seq}, frame begins at ${frame.first}`)
    state = applied.state
  }
}
state = { ...state, messages: state.messages.slice(-MESSAGES_IN_SNAPSHOT) }
process.stdout.write(JSON.stringify({ state, fresh: fromSnapshot(fresh) }))
