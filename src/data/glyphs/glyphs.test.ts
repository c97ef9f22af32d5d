import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { Dataset } from '../dataset.ts'
import { openGlyphs } from './index.ts'

const cache = mkdtempSync(join(tmpdir(), 'tenet-glyphs-'))
afterAll(() => rmSync(cache, { recursive: true }))

const rowsOf = ({ source }: Dataset): number[] => (source.kind === 'array' ? [...source.rows!] : [])

it('draws characters of fonts that testing and training do not share', async () => {
  const data = await openGlyphs({
    size: 16,
    characters: 'Ag7',
    fonts: ['lora', 'oswald', 'caveat'],
    heldOut: ['lora'],
    cache,
  })
  expect(data.classes).toEqual(['7', 'A', 'g'])
  expect(new Set(rowsOf(data.test).map(row => data.items[row].font))).toEqual(new Set(['lora']))
  expect(rowsOf(data.train).some(row => data.items[row].font === 'lora')).toBe(false)
})

it('draws heavier weights darker, and no glyph in fragments', async () => {
  const size = 24
  const fonts = ['bitter', 'caveat', 'oswald']
  const data = await openGlyphs({ size, characters: 'BR', fonts, heldOut: [], cache })
  const values = data.train.source.kind === 'array' ? Uint8Array.from(data.train.source.values) : new Uint8Array()
  const ink = (row: number): number =>
    values.subarray(row * size * size, (row + 1) * size * size).reduce((sum, value) => sum + 255 - value, 0) / 255
  for (const font of fonts)
    for (const character of 'BR') {
      const weights = data.items
        .map((glyph, row) => ({ ...glyph, ink: ink(row) }))
        .filter(glyph => glyph.font === font && glyph.character === character && glyph.style === 'normal')
        .sort((a, b) => a.weight - b.weight)
      expect(weights[0].ink).toBeGreaterThan(8)
      for (let i = 1; i < weights.length; i++) expect(weights[i].ink).toBeGreaterThan(weights[i - 1].ink * 0.98)
    }
})

it('labels by font or weight where asked', async () => {
  const options = { size: 8, characters: 'abcdefgh', fonts: ['lora', 'oswald'], cache }
  const byFont = await openGlyphs({ ...options, label: 'font' })
  expect(byFont.classes).toEqual(['lora', 'oswald'])
  expect(new Set(byFont.train.labels)).toEqual(new Set([0, 1]))
  expect((await openGlyphs({ ...options, label: 'weight' })).classes).toContain('400')
})

it('names a font that is not installed', async () => {
  await expect(openGlyphs({ fonts: ['no-such-font'], cache })).rejects.toThrow('npm install @fontsource/no-such-font')
})
