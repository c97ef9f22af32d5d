import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bootstrapDifference, bootstrapMean, bootstrapMetric, bootstrapPairedDifference } from './bootstrap.ts'
import { averageRanks, pearsonCorrelation, spearmanCorrelation } from './correlation.ts'
import { pairedPermutationTest, signTest } from './significance.ts'

const values = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 2, maxLength: 30 })

describe('bootstrap', () => {
  it('is seeded, holds the estimate for a mean, and widens with confidence', () => {
    fc.assert(
      fc.property(values, fc.integer(), (sample, seed) => {
        const options = { seed, resamples: 300 }
        const narrow = bootstrapMean(sample, { ...options, confidence: 0.5 })
        const wide = bootstrapMean(sample, { ...options, confidence: 0.99 })
        expect(bootstrapMean(sample, { ...options, confidence: 0.5 })).toEqual(narrow)
        expect(wide.low).toBeLessThanOrEqual(narrow.low)
        expect(wide.high).toBeGreaterThanOrEqual(narrow.high)
        expect(wide.low).toBeGreaterThanOrEqual(Math.min(...sample) - 1e-9)
        expect(wide.high).toBeLessThanOrEqual(Math.max(...sample) + 1e-9)
      }),
      { numRuns: 40 },
    )
  })

  it('matches the normal interval of a large sample', () => {
    const sample = Array.from({ length: 400 }, (_, i) => ((i * 7919) % 400) / 400)
    const { estimate, low, high } = bootstrapMean(sample, { resamples: 4000, seed: 3 })
    const halfWidth = (1.96 * Math.sqrt(1 / 12)) / Math.sqrt(400)
    expect(estimate).toBeCloseTo(399 / 800, 12)
    expect(Math.abs(high - low - 2 * halfWidth)).toBeLessThan(0.1 * halfWidth)
  })

  it('covers the true mean about as often as it claims', () => {
    let covered = 0
    let state = 1
    const uniform = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state / 2 ** 32
    }
    for (let trial = 0; trial < 200; trial++) {
      const sample = Array.from({ length: 40 }, uniform)
      const { low, high } = bootstrapMean(sample, { confidence: 0.9, resamples: 400, seed: trial })
      if (low <= 0.5 && 0.5 <= high) covered++
    }
    expect(covered).toBeGreaterThan(165)
    expect(covered).toBeLessThan(195)
  })

  it('pairs cancel what they share', () => {
    const a = Array.from({ length: 30 }, (_, i) => 10 * Math.sin(i) + 1 + 0.01 * Math.cos(5 * i))
    const b = Array.from({ length: 30 }, (_, i) => 10 * Math.sin(i))
    const [paired, independent] = [bootstrapPairedDifference(a, b), bootstrapDifference(a, b)]
    expect(paired.low).toBeGreaterThan(0.9)
    expect(paired.high).toBeLessThan(1.1)
    expect(independent.estimate).toBeCloseTo(paired.estimate, 10)
    expect(independent.low).toBeLessThan(0)
    expect(independent.high).toBeGreaterThan(2)
  })

  it('gives a metric the indices of whole samples', () => {
    const { estimate, low, high } = bootstrapMetric(50, indices => {
      expect(indices.length).toBe(50)
      return Math.max(...indices)
    })
    expect(estimate).toBe(49)
    expect(high).toBe(49)
    expect(low).toBeLessThan(49)
  })

  it('refuses an empty sample, other lengths and a confidence of 1', () => {
    expect(() => bootstrapMean([])).toThrow('sample size is 0')
    expect(() => bootstrapMean([1, Number.NaN])).toThrow('values holds NaN at index 1')
    expect(() => bootstrapPairedDifference([1], [1, 2])).toThrow('have 1 and 2 entries')
    expect(() => bootstrapMean([1, 2], { confidence: 1 })).toThrow('confidence is 1')
  })
})

describe('correlation', () => {
  it('by hand, with shared ranks', () => {
    expect([...averageRanks([10, 30, 20, 20])]).toEqual([1, 4, 2.5, 2.5])
    expect(pearsonCorrelation([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12)
    expect(pearsonCorrelation([1, 2, 3], [1, 3, 2])).toBeCloseTo(0.5, 12)
    expect(spearmanCorrelation([1, 2, 3, 4], [1, 8, 27, 64])).toBeCloseTo(1, 12)
    expect(spearmanCorrelation([1, 2, 3, 4, 5], [5, 6, 7, 8, 7])).toBeCloseTo(0.8207826816681233, 12)
    expect(pearsonCorrelation([1, 1], [1, 2])).toBeNaN()
    expect(pearsonCorrelation([0.1, 0.1, 0.1], [1, 2, 3])).toBeNaN()
    expect(() => pearsonCorrelation([1], [1])).toThrow('number of values is 1')
  })

  it('is unchanged by increasing maps: linear ones for Pearson, any for Spearman', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -9, max: 9 })), { minLength: 3 }),
        pairs => {
          const [x, y] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)]
          fc.pre(new Set(x).size > 1 && new Set(y).size > 1)
          expect(
            pearsonCorrelation(
              x.map(v => 3 * v - 5),
              y,
            ),
          ).toBeCloseTo(pearsonCorrelation(x, y), 10)
          expect(pearsonCorrelation(y, x)).toBeCloseTo(pearsonCorrelation(x, y), 12)
          expect(
            spearmanCorrelation(
              x.map(v => v ** 3),
              y,
            ),
          ).toBeCloseTo(spearmanCorrelation(x, y), 12)
        },
      ),
    )
  })
})

describe('significance', () => {
  it('sign test by hand, symmetric, and stable for thousands of samples', () => {
    expect(signTest(5, 0)).toBeCloseTo(2 / 32, 12)
    expect(signTest(1, 8)).toBeCloseTo((2 * (1 + 9)) / 512, 12)
    expect(signTest(8, 1)).toBeCloseTo(signTest(1, 8), 12)
    expect(signTest(4, 4)).toBe(1)
    expect(signTest(0, 0)).toBe(1)
    // Normal approximation with continuity correction: z = (100 - 0.5) / 50 = 1.99, p = 0.0466.
    expect(signTest(5100, 4900)).toBeCloseTo(0.0466, 3)
    expect(() => signTest(-1, 2)).toThrow('wins is -1')
  })

  it('permutation test: exact for few pairs, sampled for many', () => {
    // Only the all-positive and all-negative patterns are as far from 0.
    expect(pairedPermutationTest([2, 3, 4], [1, 1, 1])).toBe(2 / 8)
    expect(pairedPermutationTest([1, 2, 3], [1, 2, 3])).toBe(1)
    const a = Array.from({ length: 40 }, (_, i) => Math.sin(3 * i) + 1)
    const b = Array.from({ length: 40 }, (_, i) => Math.sin(3 * i + 1))
    expect(pairedPermutationTest(a, b, { permutations: 999 })).toBe(1 / 1000)
    expect(
      pairedPermutationTest(
        a,
        b.map(v => v + 1),
        { permutations: 999, seed: 4 },
      ),
    ).toBeGreaterThan(0.5)
    expect(() => pairedPermutationTest([], [])).toThrow('number of pairs is 0')
  })
})
