import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { kMeans, kMeansPlusPlus } from './cluster.ts'
import { qr } from './decomposition.ts'
import { fromRows, type Matrix, type MatrixLike, matrix, multiply, scale } from './matrix.ts'
import { linearCka, rbfCka } from './similarity.ts'
import { earthMoversDistance, sinkhorn, sinkhornKnopp } from './transport.ts'

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9): void {
  expect(actual.length).toBe(expected.length)
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(actual[i] - expected[i]), `value ${i}`).toBeLessThanOrEqual(tolerance * (1 + Math.abs(expected[i])))
  }
}

const values = (n: number, d: number) =>
  fc.array(fc.integer({ min: -40, max: 40 }), { minLength: n * d, maxLength: n * d }).map(data =>
    matrix(
      n,
      d,
      data.map(value => value / 10),
    ),
  )
const rowSums = ({ rows, cols, data }: MatrixLike) =>
  Array.from({ length: rows }, (_, i) =>
    Array.from(data)
      .slice(i * cols, (i + 1) * cols)
      .reduce((a, b) => a + b, 0),
  )
const columnSums = ({ rows, cols, data }: MatrixLike) =>
  Array.from({ length: cols }, (_, j) =>
    Array.from({ length: rows }, (_, i) => data[i * cols + j]).reduce((a, b) => a + b, 0),
  )

describe('sinkhorn', () => {
  it('meets both marginals, costs at least the matched distance and approaches it', () => {
    fc.assert(
      fc.property(values(4, 2), values(4, 2), (farA, farB) => {
        // Within [-1, 1], where epsilon 0.4 converges for certain.
        const [a, b] = [scale(farA, 0.25), scale(farB, 0.25)]
        const cost = matrix(
          4,
          4,
          Array.from({ length: 16 }, (_, at) => {
            const [i, j] = [Math.floor(at / 4), at % 4]
            return Math.hypot(a.data[2 * i] - b.data[2 * j], a.data[2 * i + 1] - b.data[2 * j + 1])
          }),
        )
        const uniform = [0.25, 0.25, 0.25, 0.25]
        const result = sinkhorn(cost, uniform, uniform, { epsilon: 0.4, iterations: 20000, tolerance: 1e-7 })
        expect(result.marginalError).toBeLessThanOrEqual(1e-7)
        expectClose(rowSums(result.plan), uniform, 1e-6)
        expectClose(columnSums(result.plan), uniform, 1e-9)
        const { distance } = earthMoversDistance(a, b)
        expect(result.cost).toBeGreaterThanOrEqual(distance - 1e-5)
        // The entropy of a 4x4 plan is at most log 16.
        expect(result.cost).toBeLessThanOrEqual(distance + 0.4 * Math.log(16) + 1e-5)
      }),
      { numRuns: 30 },
    )
  })

  it('accepts empty weights and tiny epsilon without overflow', () => {
    const { plan } = sinkhorn(matrix(2, 2, [0, 50, 50, 0]), [1, 0], [0.5, 0.5], { epsilon: 0.01, iterations: 100 })
    expectClose(plan.data, [0.5, 0.5, 0, 0])
  })

  it('refuses unequal masses, negative weights and epsilon 0', () => {
    const cost = matrix(2, 2)
    expect(() => sinkhorn(cost, [1, 1], [1, 2], { epsilon: 1 })).toThrow('a sums to 2 and b to 3')
    expect(() => sinkhorn(cost, [1], [1, 0], { epsilon: 1 })).toThrow('a has 1 weights, but the cost needs 2')
    expect(() => sinkhorn(cost, [2, -1], [1, 0], { epsilon: 1 })).toThrow('a[1] is -1')
    expect(() => sinkhorn(cost, [1, 0], [1, 0], { epsilon: 0 })).toThrow('epsilon is 0')
  })

  it('Sinkhorn-Knopp gives every sample a distribution and every prototype nearly an equal share', () => {
    fc.assert(
      fc.property(values(9, 3), scores => {
        const assignment = sinkhornKnopp(scores, { epsilon: 1, iterations: 200 })
        expectClose(rowSums(assignment), Array(9).fill(1))
        expectClose(columnSums(assignment), [3, 3, 3], 1e-3)
      }),
      { numRuns: 30 },
    )
    // exp(900 / 0.05) is beyond float64.
    expectClose(sinkhornKnopp(matrix(2, 2, [900, 0, 0, 900])).data, [1, 0, 0, 1])
  })
})

describe("earth mover's distance", () => {
  it('is 0 for a permuted copy and the shift of a shifted one', () => {
    const a = fromRows([
      [0, 0],
      [1, 5],
      [4, 2],
    ])
    const permuted = fromRows([
      [4, 2],
      [0, 0],
      [1, 5],
    ])
    expect(earthMoversDistance(a, permuted).distance).toBe(0)
    expect([...earthMoversDistance(a, permuted).partner]).toEqual([1, 2, 0])
    expect(
      earthMoversDistance(
        a,
        matrix(
          3,
          2,
          a.data.map((value, i) => value + (i % 2 ? 4 : 3)),
        ),
      ).distance,
    ).toBeCloseTo(5, 12)
    expect(() => earthMoversDistance(a, matrix(2, 2))).toThrow('a is 3x2 and b is 2x2')
  })
})

describe('k-means', () => {
  it('never raises the inertia and ends where nothing moves', () => {
    fc.assert(
      fc.property(values(20, 2), fc.integer(), (points, seed) => {
        const start = kMeansPlusPlus(points, 4, seed)
        let before = Infinity
        for (const iterations of [0, 1, 2, 5, 100]) {
          const { inertia } = kMeans(points, start, { iterations })
          expect(inertia).toBeLessThanOrEqual(before + 1e-9)
          before = inertia
        }
        const end = kMeans(points, start)
        expect(end.converged).toBe(true)
        expectClose(kMeans(points, end.centres, { iterations: 1 }).centres.data, end.centres.data)
      }),
      { numRuns: 40 },
    )
  })

  it('finds separated groups from k-means++ centres, the same for the same seed', () => {
    const points = matrix(
      30,
      1,
      Array.from({ length: 30 }, (_, i) => (i % 3) * 100 + i / 30),
    )
    const start = kMeansPlusPlus(points, 3, 7)
    expect(kMeansPlusPlus(points, 3, 7)).toEqual(start)
    const { labels } = kMeans(points, start)
    for (let i = 3; i < 30; i++) expect(labels[i]).toBe(labels[i % 3])
    expect(new Set(labels).size).toBe(3)
  })

  it('keeps a centre without points in place, and works when points are fewer than distinct centres', () => {
    const { centres, labels } = kMeans(matrix(2, 1, [0, 1]), matrix(2, 1, [0.4, 50]))
    expect([...centres.data]).toEqual([0.5, 50])
    expect([...labels]).toEqual([0, 0])
    expect([...kMeansPlusPlus(matrix(3, 1, [2, 2, 2]), 3, 1).data]).toEqual([2, 2, 2])
    expect(() => kMeans(matrix(2, 1), matrix(3, 1))).toThrow(
      'number of centres is 3; it must be an integer from 1 to 2',
    )
    expect(() => kMeans(matrix(2, 1), matrix(1, 2))).toThrow('points are 2x1 but the centres are 1x2')
  })
})

describe('centred kernel alignment', () => {
  it('is 1 up to rotation, shift and scale, and symmetric', () => {
    fc.assert(
      fc.property(values(8, 3), values(8, 2), values(3, 3), (x, y, generator) => {
        fc.pre(new Set(x.data).size > 6 && new Set(y.data).size > 6)
        const rotated = multiply(x, qr(generator).q)
        const moved = matrix(
          8,
          3,
          scale(rotated, 2.5).data.map(value => value + 7),
        )
        expect(linearCka(x, moved)).toBeCloseTo(1, 9)
        expect(linearCka(x, y)).toBeCloseTo(linearCka(y, x), 12)
        expect(rbfCka(x, moved, [2, 5])).toBeCloseTo(1, 9)
        expect(linearCka(x, y)).toBeLessThanOrEqual(1 + 1e-12)
        expect(rbfCka(x, y, 2)).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 40 },
    )
  })

  it('is the same by Gram matrices, when features outnumber samples', () => {
    const wide = (m: Matrix) => {
      const out = matrix(m.rows, 2 * m.rows)
      for (let i = 0; i < m.rows; i++) out.data.set(m.data.subarray(i * m.cols, (i + 1) * m.cols), i * out.cols)
      return out
    }
    const x = matrix(5, 2, [1, 2, 3, 1, 0, 4, -1, 2, 2, 2])
    const y = matrix(5, 1, [1, 0, 2, -3, 1])
    // Columns of zeros change nothing.
    expect(linearCka(wide(x), wide(y))).toBeCloseTo(linearCka(x, y), 12)
  })

  it('refuses constant features and samples that do not pair', () => {
    expect(() => linearCka(matrix(3, 1), matrix(3, 1, [1, 2, 3]))).toThrow('x is the same for every sample')
    const tenths = matrix(3, 1, [0.1, 0.1, 0.1])
    expect(() => linearCka(matrix(3, 1, [1, 2, 3]), tenths)).toThrow('y is the same for every sample')
    expect(() => rbfCka(tenths, matrix(3, 1, [1, 2, 3]), 1)).toThrow('x is the same for every sample')
    expect(() => linearCka(matrix(3, 1), matrix(2, 1))).toThrow('x is 3x1 and y is 2x1')
    expect(() => rbfCka(matrix(2, 1, [0, 1]), matrix(2, 1, [0, 1]), 0)).toThrow('sigma is 0')
  })
})

describe.skipIf(!goldenExists('core.linalg'))('core.linalg golden', () => {
  const golden = readGolden('core.linalg') as Golden
  const data = (name: string) => goldenTensor(golden, name).data
  const tensor = (name: string) => {
    const { shape, data } = goldenTensor(golden, name)
    return matrix(shape[0], shape[1], data)
  }

  it('sinkhorn and Sinkhorn-Knopp', () => {
    const { plan } = sinkhorn(
      tensor('in.sinkhorn_e0.1_50.C'),
      data('in.sinkhorn_e0.1_50.a'),
      data('in.sinkhorn_e0.1_50.b'),
      { epsilon: 0.1, iterations: 50 },
    )
    expectClose(plan.data, data('out.sinkhorn_e0.1_50.y'), 1e-6)
    expectClose(sinkhornKnopp(tensor('in.swav.scores')).data, data('out.swav.assign'), 1e-6)
  })

  it('k-means', () => {
    const { centres, labels } = kMeans(tensor('in.X'), tensor('in.kmeans.init'), { iterations: 5 })
    expectClose(centres.data, data('out.kmeans.centers_5iters'), 1e-6)
    expect(labels).toEqual(data('out.kmeans.labels'))
  })

  it('linear and RBF alignment', () => {
    expectClose([linearCka(tensor('in.linear_cka.x'), tensor('in.linear_cka.y'))], data('out.linear_cka.y'), 1e-6)
    expectClose([rbfCka(tensor('in.rbf_cka_s2.x'), tensor('in.rbf_cka_s2.y'), 2)], data('out.rbf_cka_s2.y'), 1e-6)
  })
})

describe.skipIf(!goldenExists('core.points'))('core.points golden', () => {
  const golden = readGolden('core.points') as Golden

  it.each([0, 1])('matched distance of cloud %i', item => {
    const part = (name: string, size: number) =>
      matrix(12, 3, goldenTensor(golden, name).data.subarray(item * size, item * size + 36))
    const { distance } = earthMoversDistance(part('in.points', 120), part('in.queries', 36))
    expect(distance).toBeCloseTo(goldenTensor(golden, 'out.emd').data[item], 5)
  })
})
