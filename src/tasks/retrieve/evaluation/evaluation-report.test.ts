import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { collectionRanker, type Searchable } from './collection-ranker.ts'
import { failurePage, writeEvaluation } from './evaluation-report.ts'
import type { QuerySet, Ranker } from './ranker.ts'
import { evaluateSet } from './score.ts'

const set: QuerySet = {
  id: 'words',
  title: 'words & more',
  queries: [
    { id: 'good', text: 'good', relevant: new Set(['a']) },
    { id: '<bad>', text: '<bad>', relevant: new Set(['b']) },
  ],
}
const ranker: Ranker = {
  name: 'fixed',
  answers: () => true,
  rank: async ({ text }) => (text === 'good' ? ['a'] : ['c<script>']),
}
const find = (id: string) => (id === 'a' ? { name: 'ant', svg: '<svg onload="x()"/>' } : undefined)

test('the page shows bad answers beside what was wanted, and nothing in it can run', async () => {
  const page = await failurePage([set], [await evaluateSet(set, [ranker])], find)
  expect(page).toContain('&lt;bad&gt;')
  expect(page).not.toContain('<script>')
  expect(page).not.toContain('onload="x()"')
  expect(page).toContain('class="wrong"')
  expect(page).toContain('words &amp; more')
})

test('numbers, chart and page are written', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenet-evaluation-'))
  try {
    await writeEvaluation(folder, [set], [await evaluateSet(set, [ranker])], find)
    expect((await readdir(folder)).sort()).toEqual(['R@10.png', 'R@10.svg', 'failures.html', 'report.json'])
    const { sets } = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'))
    expect(sets[0].rankers[0].measures['R@10'].estimate).toBe(0.5)
    expect(sets[0].rankers[0].rankings).toBeUndefined()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a collection is asked as a user asks it: words as words, pictures as PNG files', async () => {
  const asked: Parameters<Searchable['search']>[0][] = []
  const collection: Searchable = {
    search: async request => {
      asked.push(request)
      return { results: [{ id: 'a' }] }
    },
  }
  const ranker = collectionRanker('tenet', collection)
  const image = { pixels: new Uint8Array(3 * 16).fill(255), size: 4 }
  expect(await ranker.rank({ id: 'q', text: 'car', relevant: new Set() }, 7)).toEqual(['a'])
  await ranker.rank({ id: 'q', image, sketch: true, relevant: new Set() }, 7)
  expect(asked[0]).toEqual({ text: 'car', mode: 'hybrid', top: 7 })
  expect(asked[1]).toMatchObject({ sketch: true, top: 7 })
  expect(Buffer.from(asked[1].image!.subarray(1, 4)).toString()).toBe('PNG')
  await ranker.rank({ id: 'q', text: 'car', relevant: new Set() }, 5000)
  expect(asked[2].top).toBe(2000)
  expect(collectionRanker('k', collection, 'keywords').answers({ id: 'q', image, relevant: new Set() })).toBe(false)
})
