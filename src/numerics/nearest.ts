import { KdTree, NearestList, type Neighbours } from './k-d-tree.ts'
import { checkFinite, checkInteger, checkMatrix, type Matrix, type MatrixLike, matrix } from './matrix.ts'

/** Above this a k-d tree visits nearly every point, and a plain scan is faster. */
const treeDimensionLimit = 16

/**
 * The k nearest points of each query by Euclidean distance, exact.
 *
 * @param points [n, d], finite
 * @param queries [q, d]
 * @param k from 1 to n
 * @returns indices and squared distances [q, k], nearest first, equal distances by ascending index
 * @throws RangeError if k is not within 1..n, or the dimensions differ
 */
export function nearestNeighbours(points: MatrixLike, queries: MatrixLike, k: number): Neighbours {
  if (points.cols <= treeDimensionLimit) return new KdTree(points).nearest(queries, k)
  checkMatrix('nearestNeighbours: points', points)
  checkMatrix('nearestNeighbours: queries', queries)
  checkFinite('nearestNeighbours: points', points.data)
  checkFinite('nearestNeighbours: queries', queries.data)
  checkInteger('nearestNeighbours: k', k, 1, points.rows)
  const d = points.cols
  if (queries.cols !== d) {
    throw new RangeError(`nearestNeighbours: queries have ${queries.cols} coordinates but the points have ${d}`)
  }
  const coordinates = Float64Array.from(points.data)
  const query = new Float64Array(d)
  const indices = new Int32Array(queries.rows * k)
  const squaredDistances = new Float64Array(queries.rows * k)
  for (let i = 0; i < queries.rows; i++) {
    for (let axis = 0; axis < d; axis++) query[axis] = queries.data[i * d + axis]
    const best = new NearestList(indices.subarray(i * k, (i + 1) * k), squaredDistances.subarray(i * k, (i + 1) * k))
    for (let j = 0; j < points.rows; j++) {
      let sum = 0
      for (let axis = 0; axis < d; axis++) {
        const difference = coordinates[j * d + axis] - query[axis]
        sum += difference * difference
      }
      best.offer(j, sum)
    }
  }
  return { k, indices, squaredDistances }
}

/**
 * Ball query (Qi et al. 2017, "PointNet++", section 3.2): for each query the first `count` points, by index, within a
 * closed ball; a ball with fewer repeats its first point, an empty one holds index 0.
 *
 * @param points [n, d]
 * @param queries [q, d]
 * @param radius at least 0, in the points' unit
 * @param count at least 1
 * @returns [q, count] indices
 */
export function ballQuery(points: MatrixLike, queries: MatrixLike, radius: number, count: number): Int32Array {
  checkMatrix('ballQuery: queries', queries)
  checkInteger('ballQuery: number of points', points.rows, 1)
  checkInteger('ballQuery: count', count, 1)
  const tree = new KdTree(points)
  const out = new Int32Array(queries.rows * count)
  for (let i = 0; i < queries.rows; i++) {
    const query = Float64Array.from({ length: queries.cols }, (_, axis) => queries.data[i * queries.cols + axis])
    const found = tree.within(query, radius)
    const group = out.subarray(i * count, (i + 1) * count)
    group.fill(found.length > 0 ? found[0] : 0)
    group.set(found.subarray(0, count))
  }
  return out
}

/**
 * Farthest point sampling (Eldar et al. 1997): each next point is the one farthest from all chosen so far, the lowest
 * index among equals. The first k of a longer sampling are the sampling of k.
 *
 * @param points [n, d]
 * @param count from 1 to n
 * @param start index of the first point, default 0
 * @returns [count] indices in the order of choice
 */
export function farthestPointSampling(points: MatrixLike, count: number, start = 0): Int32Array {
  checkMatrix('farthestPointSampling: points', points)
  checkFinite('farthestPointSampling: points', points.data)
  checkInteger('farthestPointSampling: count', count, 1, points.rows)
  checkInteger('farthestPointSampling: start', start, 0, points.rows - 1)
  const d = points.cols
  const data = Float64Array.from(points.data)
  const distance = new Float64Array(points.rows).fill(Infinity)
  const chosen = new Int32Array(count)
  chosen[0] = start
  for (let step = 1; step < count; step++) {
    const last = chosen[step - 1]
    let farthest = 0
    for (let j = 0; j < points.rows; j++) {
      let sum = 0
      for (let axis = 0; axis < d; axis++) {
        const difference = data[j * d + axis] - data[last * d + axis]
        sum += difference * difference
      }
      if (sum < distance[j]) distance[j] = sum
      if (distance[j] > distance[farthest]) farthest = j
    }
    chosen[step] = farthest
  }
  return chosen
}

/** The occupied cells of a regular grid over points. */
export interface VoxelGrid {
  /** [cells, d]: integer coordinates of the occupied cells, in lexicographic order. */
  readonly coordinates: Int32Array
  /** [n]: for each point the cell it lies in. */
  readonly cellOfPoint: Int32Array
  /** [cells, d]: the mean of the points of each cell. */
  readonly centroids: Matrix
  /** [cells]: how many points each cell holds. */
  readonly counts: Int32Array
}

/**
 * Sorts points into the cells of a regular grid, floor((p - origin) / size).
 *
 * @param points [n, d], n at least 1, finite
 * @param size edge of a cell, above 0, in the points' unit
 * @param origin corner that the grid starts from, default the smallest coordinate on each axis
 * @throws RangeError if the size is not positive or the origin has another dimension
 */
export function voxelGrid(points: MatrixLike, size: number, origin?: ArrayLike<number>): VoxelGrid {
  checkMatrix('voxelGrid: points', points)
  checkFinite('voxelGrid: points', points.data)
  checkInteger('voxelGrid: number of points', points.rows, 1)
  if (!(size > 0 && Number.isFinite(size))) throw new RangeError(`voxelGrid: size is ${size}; it must be above 0`)
  const { rows, cols, data } = points
  const corner = origin ?? smallestCorner(points)
  if (corner.length !== cols) {
    throw new RangeError(`voxelGrid: origin has ${corner.length} coordinates but the points have ${cols}`)
  }
  const cells = Int32Array.from(data, (value, at) => Math.floor((value - corner[at % cols]) / size))
  const compare = (a: number, b: number) => {
    for (let axis = 0; axis < cols; axis++) {
      const difference = cells[a * cols + axis] - cells[b * cols + axis]
      if (difference !== 0) return difference
    }
    return 0
  }
  const order = Int32Array.from({ length: rows }, (_, index) => index).sort(compare)
  const first: number[] = []
  const cellOfPoint = new Int32Array(rows)
  for (let at = 0; at < rows; at++) {
    if (at === 0 || compare(order[at - 1], order[at]) !== 0) first.push(order[at])
    cellOfPoint[order[at]] = first.length - 1
  }
  const counts = new Int32Array(first.length)
  const centroids = matrix(first.length, cols)
  for (let i = 0; i < rows; i++) {
    counts[cellOfPoint[i]]++
    for (let axis = 0; axis < cols; axis++) centroids.data[cellOfPoint[i] * cols + axis] += data[i * cols + axis]
  }
  for (let at = 0; at < centroids.data.length; at++) centroids.data[at] /= counts[Math.floor(at / cols)]
  const coordinates = Int32Array.from(first.flatMap(point => [...cells.subarray(point * cols, (point + 1) * cols)]))
  return { coordinates, cellOfPoint, centroids, counts }
}

function smallestCorner({ cols, data }: MatrixLike): Float64Array {
  const corner = new Float64Array(cols).fill(Infinity)
  for (let at = 0; at < data.length; at++) corner[at % cols] = Math.min(corner[at % cols], data[at])
  return corner
}
