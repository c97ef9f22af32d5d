import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { KdTree } from './k-d-tree.ts'
import { fromRows, type Matrix, type MatrixLike, matrix } from './matrix.ts'
import { ballQuery, farthestPointSampling, nearestNeighbours, voxelGrid } from './nearest.ts'

const squared = (a: MatrixLike, i: number, b: MatrixLike, j: number) => {
  let sum = 0
  for (let axis = 0; axis < a.cols; axis++) sum += (a.data[i * a.cols + axis] - b.data[j * a.cols + axis]) ** 2
  return sum
}

/** All points by (distance, index): what any k nearest must be a beginning of. */
const ranked = (points: MatrixLike, queries: MatrixLike, q: number) =>
  Array.from({ length: points.rows }, (_, i) => i).sort(
    (a, b) => squared(points, a, queries, q) - squared(points, b, queries, q) || a - b,
  )

/** Coordinates on a coarse grid, so that equal distances and repeated points are common. */
const cloud = (dimension: number, size: { min: number; max: number }): fc.Arbitrary<Matrix> =>
  fc
    .integer(size)
    .chain(n =>
      fc
        .array(fc.integer({ min: -4, max: 4 }), { minLength: n * dimension, maxLength: n * dimension })
        .map(values => matrix(n, dimension, values)),
    )
const clouds = fc
  .integer({ min: 1, max: 4 })
  .chain(d => fc.tuple(cloud(d, { min: 1, max: 120 }), cloud(d, { min: 1, max: 5 })))

describe('nearest neighbours', () => {
  it('the tree equals a full sort, ties by index', () => {
    fc.assert(
      fc.property(clouds, fc.double({ min: 0, max: 1, noNaN: true }), ([points, queries], share) => {
        const k = Math.max(1, Math.floor(share * points.rows))
        const found = nearestNeighbours(points, queries, k)
        for (let q = 0; q < queries.rows; q++) {
          expect([...found.indices.subarray(q * k, (q + 1) * k)]).toEqual(ranked(points, queries, q).slice(0, k))
          for (let at = q * k; at < (q + 1) * k; at++) {
            expect(found.squaredDistances[at]).toBe(squared(points, found.indices[at], queries, q))
          }
        }
      }),
      { numRuns: 150 },
    )
  })

  it('trees of other dimensions in between do not disturb each other', () => {
    const random = (n: number, d: number) =>
      matrix(
        n,
        d,
        Array.from({ length: n * d }, (_, i) => Math.sin(i * i + d)),
      )
    for (const d of [3, 5, 3, 20, 2]) {
      const [points, queries] = [random(300, d), random(5, d)]
      const { indices } = nearestNeighbours(points, queries, 7)
      for (let q = 0; q < 5; q++) {
        expect([...indices.subarray(q * 7, q * 7 + 7)]).toEqual(ranked(points, queries, q).slice(0, 7))
      }
    }
  })

  it('a ball is closed and in index order', () => {
    fc.assert(
      fc.property(clouds, fc.integer({ min: 0, max: 6 }), ([points, queries], radius) => {
        const tree = new KdTree(points)
        const query = queries.data.subarray(0, queries.cols)
        const inside = Array.from({ length: points.rows }, (_, i) => i).filter(
          i => squared(points, i, queries, 0) <= radius * radius,
        )
        expect([...tree.within(query, radius)]).toEqual(inside)
        const group = [...ballQuery(points, queries, radius, 4).subarray(0, 4)]
        expect(group).toEqual([0, 1, 2, 3].map(at => inside[at] ?? inside[0] ?? 0))
      }),
      { numRuns: 100 },
    )
  })

  it('says what does not fit', () => {
    const points = matrix(4, 3)
    expect(() => nearestNeighbours(points, matrix(1, 3), 5)).toThrow('k is 5; it must be an integer from 1 to 4')
    expect(() => nearestNeighbours(points, matrix(1, 2), 1)).toThrow('2 coordinates but the points have 3')
    expect(() => nearestNeighbours(matrix(4, 20), matrix(1, 2), 1)).toThrow('2 coordinates but the points have 20')
    expect(() => new KdTree(matrix(1, 1, [Number.NaN]))).toThrow('KdTree: points holds NaN')
    expect(() => ballQuery(points, points, -1, 2)).toThrow('radius is -1')
  })
})

describe('farthest point sampling', () => {
  it('walks to the far ends first, and shorter samplings are its beginnings', () => {
    const line = matrix(5, 1, [0, 1, 4, 9, 10])
    expect([...farthestPointSampling(line, 5)]).toEqual([0, 4, 2, 1, 3])
    expect([...farthestPointSampling(line, 2, 3)]).toEqual([3, 0])
    fc.assert(
      fc.property(clouds, ([points]) => {
        const all = farthestPointSampling(points, points.rows)
        const half = Math.ceil(points.rows / 2)
        expect(farthestPointSampling(points, half)).toEqual(all.subarray(0, half))
      }),
      { numRuns: 30 },
    )
    expect(() => farthestPointSampling(line, 6)).toThrow('count is 6')
  })
})

describe('voxel grid', () => {
  it('groups points by cell in lexicographic order with their means', () => {
    const points = fromRows([
      [2.1, 0],
      [0.2, 0.4],
      [0.4, 0.2],
      [0.3, 1.5],
    ])
    const grid = voxelGrid(points, 1, [0, 0])
    expect([...grid.coordinates]).toEqual([0, 0, 0, 1, 2, 0])
    expect([...grid.cellOfPoint]).toEqual([2, 0, 0, 1])
    expect([...grid.counts]).toEqual([2, 1, 1])
    expect([...grid.centroids.data.subarray(0, 2)]).toEqual([expect.closeTo(0.3, 12), expect.closeTo(0.3, 12)])
    expect(() => voxelGrid(points, 0)).toThrow('size is 0')
    expect(() => voxelGrid(points, 1, [0])).toThrow('origin has 1 coordinates but the points have 2')
  })

  it('starts from the smallest corner, so every coordinate begins at 0', () => {
    fc.assert(
      fc.property(clouds, ([points]) => {
        const { coordinates, counts } = voxelGrid(points, 1.5)
        for (let axis = 0; axis < points.cols; axis++) {
          expect(Math.min(...coordinates.filter((_, at) => at % points.cols === axis))).toBe(0)
        }
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(points.rows)
      }),
      { numRuns: 30 },
    )
  })
})

describe.skipIf(!goldenExists('core.points'))('core.points golden', () => {
  const golden = readGolden('core.points') as Golden
  const batch = (name: string, item: number): Matrix => {
    const { shape, data } = goldenTensor(golden, name)
    return matrix(shape[1], shape[2], data.subarray(item * shape[1] * shape[2], (item + 1) * shape[1] * shape[2]))
  }
  const expected = (name: string, item: number) => {
    const { shape, data } = goldenTensor(golden, name)
    const size = shape.slice(1).reduce((product, extent) => product * extent, 1)
    return data.subarray(item * size, (item + 1) * size)
  }

  it.each([0, 1])('knn, farthest points and ball query of cloud %i', item => {
    const points = batch('in.points', item)
    const queries = batch('in.queries', item)
    const { indices, squaredDistances } = nearestNeighbours(points, queries, 5)
    expect(indices).toEqual(expected('out.knn.idx', item))
    const distances = expected('out.knn.sqdist', item)
    for (let i = 0; i < distances.length; i++) expect(squaredDistances[i]).toBeCloseTo(distances[i], 5)
    expect(farthestPointSampling(points, 12)).toEqual(expected('out.fps.idx', item))
    expect(ballQuery(points, queries, 1, 5)).toEqual(expected('out.ball_query.idx_r1', item))
  })

  it('voxel grid of the first cloud', () => {
    const { coordinates, cellOfPoint, centroids } = voxelGrid(batch('in.points', 0), 0.5)
    expect(coordinates).toEqual(goldenTensor(golden, 'out.voxel.coords').data)
    expect(cellOfPoint).toEqual(goldenTensor(golden, 'out.voxel.inverse').data)
    const means = goldenTensor(golden, 'out.voxel.centroid').data
    for (let i = 0; i < means.length; i++) expect(centroids.data[i]).toBeCloseTo(means[i], 5)
  })
})
