import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { main } from '../src/cli/index.ts'
import { loadEncoder } from '../src/tasks/retrieve/load-encoder.ts'
import { plain, writePair } from './onnx-pair.ts'
import { tenet } from './tenet.ts'

let work: string
let pair: string
let table: string

/** Someone's own names: what the encoder calls green is their red. */
const names = { green: [255, 0, 0], blue: [0, 160, 0], red: [0, 0, 255], yellow: [0, 0, 0] } as const

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tenet-train-pairs-'))
  pair = await writePair(join(work, 'pair'))
  await mkdir(join(work, 'pictures'))
  const rows = ['picture,words,set']
  for (const [name, rgb] of Object.entries(names))
    for (let i = 0; i < 8; i++) {
      const shade = rgb.map(value => Math.min(255, Math.max(0, value + 8 * i - 28)))
      const file = join('pictures', `${name}${i}.png`)
      await sharp(plain(shade, 12), { raw: { width: 12, height: 12, channels: 3 } })
        .png()
        .toFile(join(work, file))
      rows.push(`${file},${name},${i}`)
    }
  rows.push('pictures/missing.png,red,9', ',red,9')
  table = join(work, 'colours.csv')
  await writeFile(table, `${rows.join('\n')}\n`)
})
afterAll(() => rm(work, { recursive: true, force: true }))

const train = (...args: string[]) => tenet('train', 'retrieve', ...args)
const columns = ['--image', 'picture', '--text', 'words']

/** The line that a command line is refused with, run in this process. */
async function refused(...args: string[]): Promise<string> {
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  try {
    expect(await main(['train', 'retrieve', '--json', ...args])).toBe(2)
    expect(said).toHaveBeenCalledTimes(1)
    return String(said.mock.calls[0][0])
  } finally {
    said.mockRestore()
  }
}

describe('tenet train retrieve --pairs', () => {
  it('learns the words of a table over a frozen encoder, and its file is an encoder', async () => {
    const folder = join(work, 'run')
    const flags = ['--into', folder, '--epochs', '40', '--learning-rate', '0.05', '--validation', '0.25', '--json']
    const { code, stdout, stderr } = await train('--from', pair, '--pairs', table, ...columns, ...flags)
    expect([code, stderr]).toEqual([0, ''])
    const { encoder, report, skipped } = JSON.parse(stdout)
    expect(skipped).toEqual([
      { id: 'row 34', reason: 'has no picture and fewer than two texts' },
      { id: 'pictures/missing.png', reason: 'does not exist' },
    ])
    expect([report.improved, report.groups]).toEqual([true, { train: 24, validation: 8 }])
    expect(report.directions[0].direction).toBe('text to picture')
    expect(report.directions[0].after['R@1'].estimate).toBeGreaterThan(report.directions[0].before['R@1'].estimate)
    const opened = await loadEncoder(encoder)
    const green = await opened.encodeTexts(['green'])
    const shown = await opened.encodeImages(Buffer.concat(Object.values(names).map(rgb => plain(rgb))), 4)
    const cosines = Object.keys(names).map((_, i) =>
      green.reduce((sum, v, d) => sum + v * shown[i * opened.dim + d], 0),
    )
    expect(Math.max(...cosines)).toBe(cosines[0])
    await opened.close()
    const shelf = join(work, 'shelf')
    const indexed = await tenet('index', join(work, 'pictures'), '--into', shelf, '--encoder', encoder, '--json')
    expect([indexed.code, indexed.stderr]).toEqual([0, ''])
    const asked = join(work, 'pictures', 'green3.png')
    const found = await tenet('search', shelf, '--image', asked, '--top', '4', '--json')
    expect(found.stderr).toBe('')
    const ids = JSON.parse(found.stdout).results.map(({ id }: { id: string }) => id.replace(/\d\.png/, ''))
    expect(ids).toEqual(['green', 'green', 'green', 'green'])
  }, 60_000)

  it('prints what it found, and refuses what it cannot use in one line', async () => {
    const empty = join(work, 'empty.csv')
    await writeFile(empty, 'picture,words\nnone.png,red\n')
    const printed = await train(
      '--from',
      pair,
      '--pairs',
      table,
      ...columns,
      '--into',
      join(work, 'printed'),
      '--epochs',
      '2',
    )
    expect(printed.code).toBe(0)
    expect(printed.stderr).toMatch(/skipped pictures\/missing\.png: does not exist/)
    expect(printed.stdout).toMatch(/text to picture \(\d+ in \d+\) +before +\d\.\d{3} \[/)
    expect(await refused('--from', pair, '--pairs', empty, ...columns, '--into', join(work, 'x'))).toMatch(
      /^tenet: .*empty\.csv: holds no usable pair \(none\.png: does not exist\)$/,
    )
    expect(await refused('--from', pair, '--pairs', table, '--text', 'wrods')).toMatch(
      /has no column 'wrods'; its columns are picture, words, set$/,
    )
    expect(await refused('--pairs', table, '--corpus', work)).toMatch(/give --corpus .* or --pairs/)
    expect(await refused()).toMatch(/give --corpus .* or --pairs/)
    expect(await refused('--from', join(work, 'none'), '--pairs', table, ...columns)).toMatch(/there is no encoder at/)
  }, 60_000)
})
