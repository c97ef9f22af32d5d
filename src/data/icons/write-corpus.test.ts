import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { IconItem } from './icons.ts'
import { type CorpusReport, writeIconCorpus } from './write-corpus.ts'

let folder: string
let report: CorpusReport
const progress: [number, number][] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenet-corpus-'))
  report = await writeIconCorpus({
    into: join(folder, 'icons'),
    sets: ['heroicons'],
    size: 8,
    onProgress: (done, total) => progress.push([done, total]),
  })
})

describe('writeIconCorpus', () => {
  it('writes items and pixels that belong together', async () => {
    const into = join(folder, 'icons')
    expect(await readdir(folder)).toEqual(['icons'])
    expect((await readdir(into)).sort()).toEqual(['corpus.json', 'items.jsonl', 'pixels-8.bin'])
    expect(JSON.parse(await readFile(join(into, 'corpus.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(report)))
    const items = (await readFile(join(into, 'items.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Omit<IconItem, 'svg'>)
    expect(items.length).toBe(report.items)
    expect(items.some(item => 'svg' in item)).toBe(false)
    const pixels = await readFile(join(into, 'pixels-8.bin'))
    expect(pixels.length).toBe(items.length * 8 * 8 * 3)
    const dark = (name: string) => {
      const row = items.findIndex(item => item.name === name)
      return 255 - pixels.subarray(row * 192, (row + 1) * 192).reduce((sum, value) => sum + value, 0) / 192
    }
    // A filled drawing has more ink than an outline: rows and lines are in the same order.
    expect(dark('stop-solid')).toBeGreaterThan(1.5 * dark('stop'))
    expect(dark('minus')).toBeLessThan(dark('stop'))
  })

  it('reports sets, splits, and how far it is', () => {
    expect(report.sets).toMatchObject([{ set: 'heroicons', licence: 'MIT', icons: report.items, skipped: 0 }])
    expect(report.splits).toEqual({ train: 0, validation: 0, test: 0, 'unseen-set': report.items })
    expect(report.skipped).toEqual([])
    expect(progress.at(-1)).toEqual([report.items, report.items])
  })

  it('leaves a folder of something else alone, and nothing behind when it is stopped', async () => {
    const other = join(folder, 'other')
    await mkdir(other)
    await writeFile(join(other, 'thesis.txt'), 'mine')
    await expect(writeIconCorpus({ into: other, sets: ['heroicons'] })).rejects.toThrow(
      'holds files that are no corpus',
    )
    await expect(
      writeIconCorpus({
        into: join(folder, 'icons'),
        sets: ['heroicons'],
        signal: AbortSignal.abort(new Error('stop')),
      }),
    ).rejects.toThrow('stop')
    await expect(writeIconCorpus({ into: join(folder, 'new'), sets: ['none'] })).rejects.toThrow('not installed')
    expect((await readdir(folder)).sort()).toEqual(['icons', 'other'])
    expect((await readdir(join(folder, 'icons'))).length).toBe(3)
  })
})
