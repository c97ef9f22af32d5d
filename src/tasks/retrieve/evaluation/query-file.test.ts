import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readQueryFile } from './query-file.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenet-queries-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const items = [
  { id: 'a:car', names: ['car', 'automobile'] },
  { id: 'a:card', names: ['card'] },
  { id: 'b:taxi', names: ['taxi'] },
]

async function fileOf(...lines: (string | object)[]): Promise<string> {
  const path = join(folder, 'queries.jsonl')
  await writeFile(path, lines.map(line => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'))
  return path
}

test('relevant items are given by id or by words of their names', async () => {
  const path = await fileOf({ text: 'auto', relevant: ['cars?', 'taxi'], kind: 'synonym', language: 'de' }, '', {
    text: 'payment',
    relevant: ['a:card'],
  })
  const { set, unanswerable } = await readQueryFile(path, items)
  expect(set.queries.map(({ relevant }) => [...relevant])).toEqual([['a:car', 'b:taxi'], ['a:card']])
  expect(set.queries[0]).toMatchObject({ text: 'auto', kind: 'synonym', language: 'de' })
  expect(unanswerable).toEqual([])
})

test('a query that nothing answers is reported, not counted', async () => {
  const path = await fileOf({ text: 'moon', relevant: ['moon'] }, { text: 'car', relevant: ['car'] })
  const { set, unanswerable } = await readQueryFile(path, items)
  expect(set.queries).toHaveLength(1)
  expect(unanswerable).toEqual(['moon'])
})

test('a picture is read from beside the file, over white', async () => {
  const clear = { r: 0, g: 0, b: 0, alpha: 0 }
  await sharp({ create: { width: 20, height: 10, channels: 4, background: clear } })
    .png()
    .toFile(join(folder, 'q.png'))
  const path = await fileOf({ image: 'q.png', sketch: true, relevant: ['a:car'] })
  const [query] = (await readQueryFile(path, items)).set.queries
  expect(query.sketch).toBe(true)
  expect(query.image?.pixels.length).toBe(3 * query.image!.size ** 2)
  expect(query.image?.pixels.every(value => value === 255)).toBe(true)
})

test.each([
  ['{', /line 1 is not JSON/],
  [{ relevant: ['car'] }, /needs either "text" or "image"/],
  [{ text: 'car' }, /needs "relevant"/],
  [{ text: 'car', relevant: ['(car'] }, /line 1: Invalid regular expression/],
  [{ text: 'car', relevant: ['car'], kind: 3 }, /must be strings/],
  [{ text: 'car', relevant: ['moon'] }, /no query for which any of the 3 items is relevant/],
])('a line that cannot be used is named: %j', async (line, message) => {
  await expect(readQueryFile(await fileOf(line), items)).rejects.toThrow(message)
})

test('a file that is not there is named', async () => {
  await expect(readQueryFile(join(folder, 'none.jsonl'), items)).rejects.toThrow(/there is no such file/)
})

test.each(['queries.jsonl', 'queries-more.jsonl'])(
  'every line of demo/%s can be used, and none is asked twice',
  async name => {
    const path = join(import.meta.dirname, '../../../../demo', name)
    const lines = (await readFile(path, 'utf8')).trim().split('\n')
    const names = new Set(lines.flatMap(line => (JSON.parse(line).relevant as string[]).flat()))
    const everything = [{ id: 'x:any', names: [...names] }]
    const { set } = await readQueryFile(path, everything)
    expect(set.queries.length).toBeGreaterThan(200)
    expect(new Set(set.queries.map(({ text, language }) => `${language} ${text}`)).size).toBe(set.queries.length)
    expect(new Set(set.queries.map(({ kind }) => kind))).toEqual(
      new Set(['plain', 'synonym', 'typo', 'phrase', 'language']),
    )
  },
)
