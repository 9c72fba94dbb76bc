import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const BUILT = new Set(['node_modules', 'dist', 'coverage'])

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? BUILT.has(entry.name) ? [] : files(join(folder, entry.name))
      : /\.(svelte|css)$/.test(entry.name) ? [join(folder, entry.name)] : [],
  )
}

/** The declarations that name a side of the page, or treat its two sides differently without saying which begins. */
function sided(css: string): string[] {
  const found: string[] = []
  for (const [whole, name, value] of css.matchAll(/([a-z-]+)\s*:\s*([^;{}]+);/g)) {
    if (/^(left|right)$|^(margin|padding|border|scroll-(margin|padding))(-(top|bottom))?-(left|right)/.test(name!)) found.push(whole)
    if (/^(text-align|float|clear)$/.test(name!) && /\b(left|right)\b/.test(value!)) found.push(whole)
    if (/^(margin|padding|inset|border-width)$/.test(name!)) {
      const parts = value!.replace(/\([^()]*(\([^()]*\)[^()]*)*\)/g, '()').trim().split(/\s+/)
      if (parts.length === 4 && parts[1] !== parts[3]) found.push(whole)
    }
  }
  return found
}

function styles(file: string): string {
  const text = readFileSync(file, 'utf8')
  const css = file.endsWith('.css') ? text : [...text.matchAll(/<style>(.*?)<\/style>/gs)].map((m) => m[1]).join('\n')
  return css.replace(/\/\*.*?\*\//gs, '')
}

test('no style names a side: pages turn round for those who write from right to left', () => {
  const all = files(ROOT)
  expect(all.length).toBeGreaterThan(20)
  expect(all.flatMap((file) => sided(styles(file)).map((said) => `${file.slice(ROOT.length)}: ${said}`))).toEqual([])
})

test('a side would be found', () => {
  for (const said of ['left: 0;', 'margin-left: 4px;', 'text-align: right;', 'padding: 1px 2px 1px 3px;', 'border-top-left-radius: 2px;', 'float: left;'])
    expect(sided(`a { ${said} }`), said).toHaveLength(1)
  for (const said of ['inset-inline: 0;', 'padding: 1px 2px 3px 2px;', 'padding: 8px 12px calc(8px + env(safe-area-inset-bottom));', 'text-align: start;'])
    expect(sided(`a { ${said} }`), said).toEqual([])
})
