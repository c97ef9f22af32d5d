import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { Dataset } from '../dataset.ts'
import { draw, drawIcons, openEmoji, openIcons, resizeSquare } from './index.ts'

const cache = mkdtempSync(join(tmpdir(), 'tenet-drawings-'))
afterAll(() => rmSync(cache, { recursive: true }))

const circle = (fill: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="1em" height="1em" viewBox="0 0 10 10"><circle cx="5" cy="5" r="4" fill="${fill}"/></svg>`

const rowsOf = ({ source }: Dataset): number[] => (source.kind === 'array' ? [...source.rows!] : [])

describe('drawings', () => {
  it('separate colour from coverage', async () => {
    const drawn = await draw(() => [{ item: 'disc', svg: circle('#ff8000') }], {
      size: 20,
      colour: true,
      key: 'a',
      cache,
    })
    const centre = 10 * 20 + 10
    expect(drawn.alpha[centre]).toBe(255)
    expect(drawn.alpha[0]).toBe(0)
    expect([0, 1, 2].map(c => drawn.colours![c * 400 + centre])).toEqual([255, 128, 0])
  })

  it('are made once, then read from the disk', async () => {
    let made = 0
    const list = () => {
      made++
      return [{ item: { name: 'disc' }, svg: circle('black') }]
    }
    const first = await draw(list, { size: 12, key: 'b', cache })
    const second = await draw(list, { size: 12, key: 'b', cache })
    expect(made).toBe(1)
    expect(second).toEqual({ ...first, colours: undefined })
    await draw(list, { size: 13, key: 'b', cache })
    expect(made).toBe(2)
    expect(readdirSync(cache).every(file => file.endsWith('.safetensors'))).toBe(true)
  })

  it('leave out what cannot be drawn', async () => {
    const drawn = await draw(
      () => [
        { item: 0, svg: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script/></svg>' },
        { item: 1, svg: circle('black') },
      ],
      { size: 8, key: 'c', cache },
    )
    expect(drawn.items).toEqual([1])
    expect(drawn.alpha.length).toBe(64)
  })

  it('keep their mean coverage at any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 24 }), fc.integer({ min: 1, max: 30 }), fc.integer(), (from, to, seed) => {
        const source = Uint8Array.from({ length: from * from }, (_, i) => ((i * 2654435761 + seed) >>> 13) & 255)
        const mean = (values: Uint8Array): number => values.reduce((a, b) => a + b, 0) / values.length
        expect(Math.abs(mean(resizeSquare(source, from, to)) - mean(source))).toBeLessThan(0.75)
      }),
    )
    expect(() => resizeSquare(new Uint8Array(4), 2, 2)).not.toThrow()
  })
})

describe('icons as pictures', () => {
  it('are tested on sets that are never trained on', async () => {
    const data = await openIcons({
      size: 16,
      concepts: ['bell', 'cloud'],
      sets: ['tabler', 'mdi', 'heroicons'],
      minimumSets: 3,
      cache,
    })
    expect(data.classes).toEqual(['bell', 'cloud'])
    const sets = (part: Dataset): string[] => [...new Set(rowsOf(part).map(row => data.items[row].set))].sort()
    expect(sets(data.test)).toEqual(['heroicons'])
    expect(sets(data.train)).not.toContain('heroicons')
    expect(data.train.shape).toEqual([1, 16, 16])
    for (const part of [data.train, data.test])
      for (const [i, row] of rowsOf(part).entries()) expect(data.classes[part.labels[i]]).toBe(data.items[row].concept)
  })

  it('keep all styles of a drawing on one side', async () => {
    const data = await openIcons({
      size: 8,
      concepts: 6,
      sets: ['ph', 'tabler'],
      minimumSets: 2,
      split: 'drawing',
      cache,
    })
    const drawings = [data.train, data.validation, data.test].map(
      part => new Set(rowsOf(part).map(row => data.items[row].drawing)),
    )
    const all = drawings.reduce((sum, set) => sum + set.size, 0)
    expect(new Set(drawings.flatMap(set => [...set])).size).toBe(all)
  })

  it('keep a concept on one side for retrieval', async () => {
    const data = await openIcons({ size: 8, concepts: 60, sets: ['tabler'], minimumSets: 1, split: 'concept', cache })
    const trained = new Set(data.train.labels)
    expect(data.test.length).toBeGreaterThan(0)
    expect([...data.test.labels].some(label => trained.has(label))).toBe(false)
  })

  it('say which concept or set is missing', async () => {
    await expect(drawIcons({ size: 8, concepts: ['no-such-thing'], sets: ['tabler'], cache })).rejects.toThrow(
      'no icon of no-such-thing',
    )
    await expect(drawIcons({ size: 8, sets: ['nowhere'], cache })).rejects.toThrow(
      "the icon set 'nowhere' is not installed",
    )
  })
})

it('emoji are pictures in colour, by group', async () => {
  const data = await openEmoji({ size: 12, concepts: 40, sets: ['twemoji', 'noto'], cache })
  expect(data.train.shape).toEqual([3, 12, 12])
  expect(data.classes).toContain('Objects')
  expect(data.test.length).toBeGreaterThan(0)
})
