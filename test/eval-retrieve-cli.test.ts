import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tenet } from './tenet.ts'

let work: string
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tenet-eval-cli-'))
})
afterAll(() => rm(work, { recursive: true, force: true }))

const evaluate = (...args: string[]) =>
  tenet('eval', 'retrieve', '--baselines-only', '--icons', 'bi', '--into', join(work, 'report'), ...args)

interface Printed {
  sets: { id: string; queries: number; rankers: { ranker: string; measures: Record<string, { estimate: number }> }[] }[]
}

it('measures words and pictures on icons, and leaves a report, a chart and a page', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await evaluate('--sets', 'names,sketches', '--limit', '5', '--json')
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const { sets } = JSON.parse(stdout) as Printed
  expect(sets.map(({ id, queries }) => [id, queries])).toEqual([
    ['names', 5],
    ['sketches', 5],
  ])
  expect(sets[0].rankers.map(({ ranker }) => ranker)).toEqual(['substring', 'full text'])
  expect(sets[0].rankers[0].measures['R@10'].estimate).toBe(1)
  expect(sets[1].rankers.map(({ ranker }) => ranker)).toEqual(['pixels', 'HOG'])
  expect((await readdir(join(work, 'report'))).sort()).toEqual(['R@10.png', 'R@10.svg', 'failures.html', 'report.json'])
})

it('measures the queries of a file', { timeout: 60_000 }, async () => {
  const queries = join(work, 'queries.jsonl')
  await writeFile(queries, '{"text":"alarm","relevant":["bi:alarm"]}\n{"text":"rubbish","relevant":["trash.*"]}\n')
  const { code, stdout } = await evaluate('--queries', queries)
  expect(code).toBe(0)
  expect(stdout).toMatch(/substring +0\.500/)
})

it('refuses what it cannot use in one line', async () => {
  const unknown = await evaluate('--sets', 'colours')
  expect(unknown.code).toBe(2)
  expect(unknown.stderr).toBe("tenet: --sets knows names, aliases, emoji, concepts, sketches, not 'colours'\n")
  const missing = await evaluate('--queries', join(work, 'none.jsonl'))
  expect(missing.code).toBe(2)
  expect(missing.stderr).toMatch(/^tenet: cannot read the queries .*there is no such file\n$/)
})
