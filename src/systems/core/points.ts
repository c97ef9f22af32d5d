import { HostTensor, nearestPoints } from '../../core/index.ts'
import { chamferDistance, edgeConvolution, interpolateNearest } from '../../nn/points.ts'
import {
  ballQuery,
  earthMoversDistance,
  farthestPointSampling,
  kabsch,
  type Matrix,
  matrix,
  voxelGrid,
} from '../../numerics/index.ts'
import type { CaseTable, GoldenCase, Outputs } from '../golden.ts'

/** The clouds of a batch [batch, points, coordinates] as matrices. */
function clouds(c: GoldenCase, name: string): Matrix[] {
  const value = c.value('in', name)
  const [rows, columns] = value.shape.slice(-2)
  const numbers = value.numbers()
  return Array.from({ length: numbers.length / (rows * columns) }, (_, b) =>
    matrix(rows, columns, numbers.subarray(b * rows * columns, (b + 1) * rows * columns)),
  )
}

const firstRows = ({ cols, data }: Matrix, rows: number): Matrix => matrix(rows, cols, data.subarray(0, rows * cols))

/** Joins what was worked out for every cloud. */
function stacked(parts: readonly ArrayLike<number>[], shape: readonly number[], integer: boolean): HostTensor {
  const flat = parts.flatMap(part => Array.from(part))
  return new HostTensor(integer ? Int32Array.from(flat) : Float32Array.from(flat), [parts.length, ...shape])
}

/** Pairs of clouds, the first cut to the number of points of the second. */
const pairs = (c: GoldenCase): [Matrix, Matrix][] => {
  const targets = clouds(c, 'queries')
  return clouds(c, 'points').map((cloud, b) => [firstRows(cloud, targets[b].rows), targets[b]])
}

function groupedByBall(c: GoldenCase): Outputs {
  const queries = clouds(c, 'queries')
  return Object.fromEntries(
    c.names('out').map(name => {
      const radius = Number(name.match(/_r([\d.]+)$/)?.[1])
      const shape = c.outputShape(name).slice(-2)
      const groups = clouds(c, 'points').map((cloud, b) => ballQuery(cloud, queries[b], radius, shape[1]))
      return [name, stacked(groups, shape, true)]
    }),
  )
}

function aligned(c: GoldenCase): Outputs {
  const weights = clouds(c, 'weights')[0]
  const motions = pairs(c).map(([source, target], b) =>
    kabsch(source, target, weights.data.subarray(b * weights.cols, (b + 1) * weights.cols)),
  )
  const [{ translation }] = motions
  const size = translation.length
  return {
    R: stacked(
      motions.map(({ rotation }) => rotation.data),
      [size, size],
      false,
    ),
    t: stacked(
      motions.map(motion => motion.translation),
      [size],
      false,
    ),
  }
}

/** The occupied cells, of edge 0.5 from the smallest corner, of the first cloud. */
function voxels(c: GoldenCase): Outputs {
  const [cloud] = clouds(c, 'points')
  const { coordinates, cellOfPoint, centroids } = voxelGrid(cloud, 0.5)
  const shape = [centroids.rows, centroids.cols]
  return {
    coords: new HostTensor(coordinates, shape),
    inverse: new HostTensor(cellOfPoint, [cloud.rows]),
    centroid: new HostTensor(Float32Array.from(centroids.data), shape),
  }
}

/** core.points: neighbourhoods, samplings and alignments of point clouds. */
export const pointsCases: CaseTable = {
  cases: [
    [
      /^knn$/,
      c => {
        const k = c.outputShape('idx').at(-1)!
        const { indices, squaredDistances } = nearestPoints(c.in('queries'), c.in('points'), k)
        return { idx: indices, sqdist: squaredDistances }
      },
    ],
    [
      /^fps$/,
      c => {
        const count = c.outputShape('idx').at(-1)!
        const chosen = clouds(c, 'points').map(cloud => farthestPointSampling(cloud, count))
        return { idx: stacked(chosen, [count], true) }
      },
    ],
    [/^ball_query$/, groupedByBall],
    [/^three_interpolate$/, c => ({ y: interpolateNearest(c.in('queries'), c.in('points'), c.in('f')) })],
    [/^chamfer_sq$/, c => ({ y: chamferDistance(c.in('a'), c.in('b')) })],
    [
      /^emd$/,
      c => ({
        '': new HostTensor(
          Float32Array.from(pairs(c), ([a, b]) => earthMoversDistance(a, b).distance),
          [pairs(c).length],
        ),
      }),
    ],
    [/^kabsch$/, aligned],
    [/^voxel$/, voxels],
    [/^edge_conv_max$/, c => ({ y: edgeConvolution(c.in('f'), c.in('knn'), c.param('w'), c.param('b')) })],
  ],
}
