/** Once over a real socket, against a server of a few lines. */
import { afterAll, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Environment } from '../environment'
import { makeLive, memory, ROOM, snapshot, World } from './fake'

const server = new WebSocketServer({ port: 0 })
afterAll(() => server.close())

test('join, command, server gone, resume', async () => {
  const joins: any[] = []
  server.on('connection', (socket) => {
    socket.send(JSON.stringify({ type: 'hello', protocol: 1, time: Date.now(), you: { id: snapshot().personal.me!.person, name: 'A' }, limits: {}, features: [] }))
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data))
      if (frame.type === 'join') {
        joins.push(frame.streams[0])
        const mode = frame.streams[0].after === undefined ? 'resync' : 'replay'
        socket.send(JSON.stringify({ type: 'joined', stream: ROOM, mode, epoch: 1, seq: 5, snapshot: mode === 'resync' ? snapshot() : null }))
      }
      if (frame.type === 'do') socket.send(JSON.stringify({ type: 'ack', id: frame.id, answer: { ok: true } }))
    })
  })
  const env: Environment = {
    open: (url) => new WebSocket(url) as any,
    monotonic: () => performance.now(),
    wall: () => Date.now(),
    random: Math.random,
    bytes: new World().bytes,
    later: (run, ms) => setTimeout(run, ms),
    cancel: (timer) => clearTimeout(timer as NodeJS.Timeout),
    onWake: () => () => {},
    visible: () => true,
  }
  const live = makeLive(env as World)
  ;(live.connection as any).url = `ws://127.0.0.1:${(server.address() as any).port}`
  const follow = live.follow(ROOM)
  live.start()
  expect(await live.do(ROOM, 'say', { text: 'x' })).toEqual({ ok: true })
  expect(follow.state?.seq).toBe(5)
  for (const client of server.clients) client.close(4000)
  await expect.poll(() => joins.length, { timeout: 5_000 }).toBe(2)
  expect(joins[1]).toEqual({ stream: ROOM, after: 5, epoch: 1 })
  void memory
  live.stop()
})
