import { expect, test } from 'vitest'
import type { QuerySet, Ranker } from './ranker.ts'
import { depth, evaluateSet, scoreRanking } from './score.ts'

const query = (relevant: string[], ignored: string[] = []) => ({
  relevant: new Set(relevant),
  ignored: new Set(ignored),
})

test('measures of a ranking are those worked out by hand', () => {
  const score = scoreRanking(['x', 'a', 'y', 'b'], query(['a', 'b', 'c']))
  expect(score['R@1']).toBe(0)
  expect(score['R@5']).toBe(1)
  expect(score['P@10']).toBeCloseTo(0.2)
  expect(score['recall@10']).toBeCloseTo(2 / 3)
  expect(score.MRR).toBeCloseTo(1 / 2)
  const ideal = 1 + 1 / Math.log2(3) + 1 / Math.log2(4)
  expect(score['nDCG@10']).toBeCloseTo((1 / Math.log2(3) + 1 / Math.log2(5)) / ideal)
})

test('what is never ranked stays out of reach, however short the ranking', () => {
  const score = scoreRanking([], query(['a']))
  expect(Object.values(score)).toEqual([0, 0, 0, 0, 0, 0, 0])
  const late = [...Array.from({ length: depth }, (_, i) => `x${i}`), 'a']
  expect(scoreRanking(late, query(['a'])).MRR).toBe(0)
})

test('ignored items take no rank and are not missed', () => {
  const score = scoreRanking(['self', 'a'], query(['a', 'self'], ['self']))
  expect(score['R@1']).toBe(1)
  expect(score['recall@10']).toBe(1)
})

test('an id ranked twice is refused', () => {
  expect(() => scoreRanking(['a', 'a'], query(['a']))).toThrow(/ranked twice/)
})

const fixed = (name: string, ids: string[], textOnly = false): Ranker => ({
  name,
  answers: ({ text }) => !textOnly || text !== undefined,
  rank: async () => ids,
})

test('a set is measured for every ranker that can answer it, with the difference by pairs of queries', async () => {
  const set: QuerySet = {
    id: 'set',
    title: 'a set',
    queries: [
      { id: 'q', image: { pixels: new Uint8Array(3), size: 1 }, relevant: new Set(['a']), kind: 'one' },
      { id: 'r', image: { pixels: new Uint8Array(3), size: 1 }, relevant: new Set(['b']), kind: 'two' },
    ],
  }
  const report = await evaluateSet(set, [fixed('good', ['a', 'b']), fixed('words', ['a'], true), fixed('poor', ['z'])])
  expect(report.rankers.map(({ ranker }) => ranker)).toEqual(['good', 'poor'])
  const [good] = report.rankers
  expect(good.measures['R@10'].estimate).toBe(1)
  expect(good.measures['R@1'].estimate).toBe(0.5)
  expect(good.measures['R@1'].low).toBeLessThan(good.measures['R@1'].high)
  expect(good.kinds).toEqual({
    one: { queries: 1, 'R@10': 1, 'P@10': 0.1 },
    two: { queries: 1, 'R@10': 1, 'P@10': 0.1 },
  })
  expect(report.differences.poor.estimate).toBe(1)
})

test('a set without queries is refused', async () => {
  await expect(evaluateSet({ id: 'e', title: 'e', queries: [] }, [])).rejects.toThrow(/no queries/)
})
