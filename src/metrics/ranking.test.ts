import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { type MatrixLike, matrix } from '../numerics/index.ts'
import {
  hitAtK,
  meanAveragePrecision,
  meanReciprocalRank,
  ndcgAtK,
  precisionAtK,
  recallAtK,
  targetRanks,
} from './ranking.ts'

const boards = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 8 })).chain(([queries, items]) => {
  const size = { minLength: queries * items, maxLength: queries * items }
  return fc.record({
    scores: fc.array(fc.integer({ min: 0, max: 4 }), size).map(data => matrix(queries, items, data)),
    // The first item of every query is relevant, so that every mean is defined.
    relevance: fc.array(fc.integer({ min: 0, max: 3 }), size).map(data =>
      matrix(
        queries,
        items,
        data.map((grade, at) => (at % items === 0 ? 1 + grade : grade)),
      ),
    ),
  })
})

describe('ranking', () => {
  // In rank order the relevance is 0 1 0 1 for the first query and 1 0 0 1 for the second.
  const scores = matrix(2, 4, [9, 8, 7, 6, 1, 4, 3, 2])
  const relevance = matrix(2, 4, [0, 1, 0, 1, 1, 1, 0, 0])

  it('by hand', () => {
    expect(hitAtK(scores, relevance, 1)).toBe(0.5)
    expect(recallAtK(scores, relevance, 2)).toBe(0.5)
    expect(precisionAtK(scores, relevance, 2)).toBe(0.5)
    expect(meanReciprocalRank(scores, relevance)).toBe(0.75)
    expect(meanAveragePrecision(scores, relevance)).toBeCloseTo((0.5 + 0.75) / 2, 12)
    expect(meanAveragePrecision(scores, relevance, 1)).toBe(0.5)
    const ideal = 1 + 1 / Math.log2(3)
    const second = 1 + 1 / Math.log2(5)
    const first = 1 / Math.log2(3) + 1 / Math.log2(5)
    expect(ndcgAtK(scores, relevance, 4)).toBeCloseTo((first + second) / ideal / 2, 12)
  })

  it('grades count linearly or exponentially', () => {
    const worst = matrix(1, 2, [2, 1])
    const grades = matrix(1, 2, [0, 3])
    expect(ndcgAtK(worst, grades, 2)).toBeCloseTo(1 / Math.log2(3), 12)
    const mixed = matrix(1, 2, [1, 3])
    expect(ndcgAtK(worst, mixed, 2)).toBeCloseTo((1 + 3 / Math.log2(3)) / (3 + 1 / Math.log2(3)), 12)
    expect(ndcgAtK(worst, mixed, 2, 'exponential')).toBeCloseTo((1 + 7 / Math.log2(3)) / (7 + 1 / Math.log2(3)), 12)
  })

  it('equal scores keep the order of the items', () => {
    const flat = matrix(1, 3, [5, 5, 5])
    expect(meanReciprocalRank(flat, matrix(1, 3, [0, 0, 1]))).toBeCloseTo(1 / 3, 12)
    expect(meanReciprocalRank(flat, matrix(1, 3, [1, 0, 1]))).toBe(1)
    expect([...targetRanks(matrix(2, 3, [5, 5, 5, 1, 2, 2]), [2, 1])]).toEqual([3, 1])
  })

  it('many relevant items rank as few do', () => {
    // 40 items with tied scores, of which 20 are relevant: average precision from the definition.
    const values = Array.from({ length: 40 }, (_, j) => (j * 7) % 5)
    const relevant = values.map((_, j) => (j % 2 === 0 ? 1 : 0))
    const order = values.map((_, j) => j).sort((a, b) => values[b] - values[a] || a - b)
    let [hits, sum] = [0, 0]
    order.forEach((item, rank) => {
      if (relevant[item]) sum += ++hits / (rank + 1)
    })
    expect(meanAveragePrecision(matrix(1, 40, values), matrix(1, 40, relevant))).toBeCloseTo(sum / 20, 12)
    expect(recallAtK(matrix(1, 40, values), matrix(1, 40, relevant), 10)).toBe(
      order.slice(0, 10).filter(item => relevant[item]).length / 20,
    )
  })

  it('queries without a relevant item do not count', () => {
    const [more, none] = [matrix(3, 4, [...scores.data, 1, 2, 3, 4]), matrix(3, 4, [...relevance.data, 0, 0, 0, 0])]
    const metrics: ((a: MatrixLike, b: MatrixLike) => number)[] = [meanAveragePrecision, meanReciprocalRank]
    for (const metric of metrics) expect(metric(more, none)).toBe(metric(scores, relevance))
    expect(recallAtK(more, none, 2)).toBe(recallAtK(scores, relevance, 2))
    expect(() => recallAtK(scores, matrix(2, 4), 2)).toThrow('recallAtK: no query has a relevant item')
  })

  it('a perfect order scores 1, all items recall everything, and more items never recall less', () => {
    fc.assert(
      fc.property(boards, ({ scores, relevance }) => {
        const k = scores.cols
        expect(meanAveragePrecision(relevance, relevance)).toBeCloseTo(1, 12)
        expect(ndcgAtK(relevance, relevance, k, 'exponential')).toBeCloseTo(1, 12)
        expect(ndcgAtK(scores, relevance, k)).toBeLessThanOrEqual(1 + 1e-12)
        expect(recallAtK(scores, relevance, k)).toBe(1)
        expect(hitAtK(scores, relevance, k)).toBe(1)
        const curve = Array.from({ length: k }, (_, i) => recallAtK(scores, relevance, i + 1))
        expect(curve).toEqual([...curve].sort((a, b) => a - b))
        const increasing = matrix(
          scores.rows,
          scores.cols,
          scores.data.map(score => Math.exp(score)),
        )
        expect(meanAveragePrecision(increasing, relevance)).toBe(meanAveragePrecision(scores, relevance))
      }),
    )
  })

  it('with one right item a query, all metrics follow from its rank', () => {
    fc.assert(
      fc.property(boards, fc.nat(), ({ scores }, pick) => {
        const targets = Array.from({ length: scores.rows }, (_, i) => (pick + 3 * i) % scores.cols)
        const relevance = matrix(scores.rows, scores.cols)
        for (const [i, target] of targets.entries()) relevance.data[i * scores.cols + target] = 1
        const ranks = [...targetRanks(scores, targets)]
        const mean = (f: (rank: number) => number) => ranks.reduce((sum, rank) => sum + f(rank), 0) / ranks.length
        expect(meanReciprocalRank(scores, relevance)).toBeCloseTo(
          mean(rank => 1 / rank),
          12,
        )
        expect(meanAveragePrecision(scores, relevance)).toBeCloseTo(
          mean(rank => 1 / rank),
          12,
        )
        expect(hitAtK(scores, relevance, 2)).toBeCloseTo(
          mean(rank => (rank <= 2 ? 1 : 0)),
          12,
        )
        expect(ndcgAtK(scores, relevance, scores.cols)).toBeCloseTo(
          mean(rank => 1 / Math.log2(rank + 1)),
          12,
        )
      }),
    )
  })

  it('says what does not fit', () => {
    expect(() => hitAtK(scores, matrix(2, 3), 1)).toThrow('scores are 2x4 and relevance is 2x3')
    expect(() => hitAtK(matrix(1, 1, [Number.NaN]), matrix(1, 1, [1]), 1)).toThrow('score 0 is NaN')
    expect(() => precisionAtK(scores, relevance, 0)).toThrow('k is 0')
    expect(() => ndcgAtK(scores, matrix(2, 4, [-1, 1, 1, 1, 1, 1, 1, 1]), 2)).toThrow('grade 0 is -1')
    expect(() => targetRanks(scores, [0])).toThrow('have 2 and 1 entries')
  })
})

describe.skipIf(!goldenExists('core.metrics'))('core.metrics golden', () => {
  const tensor = (golden: Golden, name: string) => {
    const { shape, data } = goldenTensor(golden, name)
    return matrix(shape[0], shape[1], data)
  }

  it.each<[string, (scores: MatrixLike, relevance: MatrixLike, grades: MatrixLike) => number]>([
    ['map', (scores, relevance) => meanAveragePrecision(scores, relevance)],
    ['mrr', meanReciprocalRank],
    ['hit@1', (scores, relevance) => hitAtK(scores, relevance, 1)],
    ['hit@5', (scores, relevance) => hitAtK(scores, relevance, 5)],
    ['hit@10', (scores, relevance) => hitAtK(scores, relevance, 10)],
    ['recall@1', (scores, relevance) => recallAtK(scores, relevance, 1)],
    ['recall@5', (scores, relevance) => recallAtK(scores, relevance, 5)],
    ['recall@10', (scores, relevance) => recallAtK(scores, relevance, 10)],
    ['precision@1', (scores, relevance) => precisionAtK(scores, relevance, 1)],
    ['precision@5', (scores, relevance) => precisionAtK(scores, relevance, 5)],
    ['precision@10', (scores, relevance) => precisionAtK(scores, relevance, 10)],
    ['ndcg@10_linear', (scores, _, grades) => ndcgAtK(scores, grades, 10)],
    ['ndcg@10_exp', (scores, _, grades) => ndcgAtK(scores, grades, 10, 'exponential')],
  ])('%s', (name, metric) => {
    const golden = readGolden('core.metrics') as Golden
    const value = metric(tensor(golden, 'in.ret.scores'), tensor(golden, 'in.ret.rel'), tensor(golden, 'in.ret.grade'))
    expect(value).toBeCloseTo(goldenTensor(golden, `out.ret.${name}`).data[0], 6)
  })
})
