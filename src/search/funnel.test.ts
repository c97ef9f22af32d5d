import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { funnelSearch } from './funnel.ts'
import { NestedVectors, scanWidth, truncated } from './nested-vectors.ts'
import { selectLargest } from './select-largest.ts'

const dim = 24
const vector = fc
  .array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: dim, maxLength: dim })
  .map(values => truncated(Float32Array.from(values), dim))
const matrix = fc.array(vector, { minLength: 1, maxLength: 40 })

function nested(rows: readonly Float32Array[], width = 16): NestedVectors {
  const vectors = new NestedVectors(dim, width)
  for (const [row, values] of rows.entries()) vectors.set(row, values)
  return vectors
}
const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0)

describe('funnel search', () => {
  it('equals exact search when its shortlist holds every row', () => {
    fc.assert(
      fc.property(matrix, vector, vector, (rows, query, other) => {
        const vectors = nested(rows)
        const queries = [
          { vector: query, weight: 1 },
          { vector: other, weight: 0.5 },
        ]
        const found = funnelSearch([{ vectors, queries }], { shortlist: rows.length })
        expect(found.map(({ row }) => row).sort((a, b) => a - b)).toEqual(rows.map((_, row) => row))
        for (const [at, { row, score }] of found.entries()) {
          expect(score).toBeCloseTo(dot(rows[row], query) + 0.5 * dot(rows[row], other), 5)
          if (at > 0) expect(score).toBeLessThanOrEqual(found[at - 1].score)
        }
      }),
    )
  })

  it('never returns a row that is not allowed, and judges those it is told to once', () => {
    const rows = Array.from({ length: 30 }, (_, n) =>
      truncated(
        Float32Array.from({ length: dim }, (_, i) => Math.sin(n * i + n)),
        dim,
      ),
    )
    const allowed = Uint8Array.from(rows, (_, row) => row % 2)
    const found = funnelSearch([{ vectors: nested(rows), queries: [{ vector: rows[3], weight: 1 }] }], {
      shortlist: 1,
      allowed,
      include: [5, 4, 5],
    })
    const ids = found.map(({ row }) => row)
    expect(ids[0]).toBe(3)
    expect(ids.filter(row => row === 5)).toHaveLength(1)
    expect(ids).not.toContain(4)
  })
})

it('selection keeps the largest scores and leaves out those of -Infinity', () => {
  const score = fc.oneof(fc.float({ min: -2, max: 2, noNaN: true }), fc.constant(Number.NEGATIVE_INFINITY))
  fc.assert(
    fc.property(fc.array(score, { maxLength: 60 }), fc.integer({ min: 1, max: 70 }), (values, k) => {
      const scores = Float32Array.from(values)
      const chosen = [...selectLargest(scores, scores.length, k)].map(row => scores[row]).sort((a, b) => b - a)
      const expected = [...scores]
        .filter(Number.isFinite)
        .sort((a, b) => b - a)
        .slice(0, k)
      expect(chosen.slice(0, k)).toEqual(expected)
      expect(chosen.every(Number.isFinite)).toBe(true)
    }),
  )
})

it('a removed row is replaced by the last, in whole and in short', () => {
  const rows = Array.from({ length: 3 }, (_, n) =>
    truncated(
      Float32Array.from({ length: dim }, (_, i) => i - 5 * n + 1),
      dim,
    ),
  )
  const vectors = nested(rows)
  vectors.remove(0)
  expect(vectors.rows).toBe(2)
  expect([...vectors.row(0)]).toEqual([...rows[2]])
  const scores = new Float32Array(2)
  vectors.addShortScores(truncated(rows[2], 16), scores)
  expect(scores[0]).toBeCloseTo(1, 5)
})

it('scans the shortest useful trained prefix, or whole vectors', () => {
  expect(scanWidth([8, 16, 32, 64, 128], 128)).toBe(16)
  expect(scanWidth([512], 512)).toBe(512)
})
