// What a first visit of each page loads: kB, gzipped.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const dist = new URL('../dist/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'))
const gz = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length

function files(key, seen = new Set()) {
  const chunk = manifest[key]
  seen.add(chunk.file)
  chunk.css?.forEach((file) => seen.add(file))
  chunk.imports?.forEach((name) => files(name, seen))
  return seen
}

for (const [key, chunk] of Object.entries(manifest)) {
  if (!chunk.isEntry) continue
  const sum = (end) => [...files(key)].filter((f) => f.endsWith(end)).reduce((total, f) => total + gz(f), 0) / 1000
  console.log(`${key.padEnd(22)} js ${sum('.js').toFixed(1).padStart(6)}  css ${sum('.css').toFixed(1).padStart(5)}`)
}
