import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

// One entry per page; Django finds the built files through dist/.vite/manifest.json.
const pages = ['home', 'room', 'host', 'moderator', 'account', 'storefront']

/** Compressed once, when building: the server hands out x.js.br or x.js.gz where they lie beside x.js. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle).filter((name) => /\.(js|css)$/.test(name))) {
        const path = join(dir!, name)
        const text = readFileSync(path)
        if (text.length < 300) continue
        writeFileSync(`${path}.gz`, gzipSync(text, { level: 9 }))
        writeFileSync(`${path}.br`, brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: text.length } }))
      }
    },
  }
}

export default defineConfig({
  base: '/static/',
  plugins: [svelte(), compressed()],
  build: {
    manifest: true,
    target: ['es2022', 'safari16', 'firefox115', 'chrome111'],
    // The content policy allows no data: fonts or scripts and no inline anything.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: Object.fromEntries(pages.map((page) => [page, `${page}/main.ts`])),
      // What every page needs is one file: it compresses better and stays in the cache from page to page.
      output: {
        codeSplitting: {
          groups: [
            { name: 'base', test: /node_modules|\/shared\/(i18n\/(index|en)\.ts|api|boot|format|mount|visits|ui\/(Icon|Toast))/ },
            { name: 'state', test: /\/sdk\/room\.ts/ },
            // Likewise what every page with a socket needs.
            { name: 'live', test: /\/sdk\/(live|connection|backoff|clock|close-codes)|\/shared\/(live|time|chat\/(Feed|Composer|announcements|Announcer)|ui\/(Sheet|Banner|Picture|Quantity))/ },
          ],
        },
      },
    },
  },
  server: { port: 5173, strictPort: true, cors: { origin: /^http:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/ } },
  test: { include: ['sdk/tests/**/*.test.ts', 'host/tests/**/*.test.ts', 'room/tests/**/*.test.ts', 'shared/tests/**/*.test.ts'], environment: 'node' },
})
