import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { checkFinite, checkInteger, checkMatrix, type Matrix, type MatrixLike, matrix, shapeOf } from './matrix.ts'

/** Options of `kMeans`. */
export interface KMeansOptions {
  /** Most Lloyd iterations; default 100. */
  readonly iterations?: number
  /** Stop once no centre moves by more than this; default 0 stops only when nothing moves. */
  readonly tolerance?: number
}

/** A clustering by k-means. */
export interface KMeansResult {
  /** [k, d] */
  readonly centres: Matrix
  /** [n]: the nearest of `centres` for each point. */
  readonly labels: Int32Array
  /** Sum of the squared distances of the points to their centres. */
  readonly inertia: number
  readonly iterations: number
  /** Whether the centres came to rest before the iterations ran out. */
  readonly converged: boolean
}

function squaredDistance(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, d: number): number {
  let sum = 0
  for (let axis = 0; axis < d; axis++) {
    const difference = a[i * d + axis] - b[j * d + axis]
    sum += difference * difference
  }
  return sum
}

/** Writes each point's nearest centre (the lowest index among equals) into `labels`; returns the inertia. */
function assign(points: Float64Array, centres: Matrix, labels: Int32Array): number {
  let inertia = 0
  for (let i = 0; i < labels.length; i++) {
    let nearest = Infinity
    for (let k = 0; k < centres.rows; k++) {
      const distance = squaredDistance(points, i, centres.data, k, centres.cols)
      if (distance < nearest) {
        nearest = distance
        labels[i] = k
      }
    }
    inertia += nearest
  }
  return inertia
}

/** Moves every centre to the mean of its points, an empty one not at all; returns the longest move. */
function update(points: Float64Array, centres: Matrix, labels: Int32Array): number {
  const { rows: k, cols: d } = centres
  const counts = new Int32Array(k)
  const sums = new Float64Array(k * d)
  for (let i = 0; i < labels.length; i++) {
    counts[labels[i]]++
    for (let axis = 0; axis < d; axis++) sums[labels[i] * d + axis] += points[i * d + axis]
  }
  const before = centres.data.slice()
  let longest = 0
  for (let c = 0; c < k; c++) {
    if (counts[c] === 0) continue
    for (let axis = 0; axis < d; axis++) centres.data[c * d + axis] = sums[c * d + axis] / counts[c]
    longest = Math.max(longest, squaredDistance(before, c, centres.data, c, d))
  }
  return Math.sqrt(longest)
}

/**
 * k-means by Lloyd's iterations (Lloyd 1982) from given centres. A centre that loses all its points stays where it is.
 *
 * @param points [n, d], finite
 * @param start [k, d]: the first centres, 1 <= k <= n; see `kMeansPlusPlus`
 * @throws RangeError if the shapes do not fit or values are not finite
 */
export function kMeans(
  points: MatrixLike,
  start: MatrixLike,
  { iterations = 100, tolerance = 0 }: KMeansOptions = {},
): KMeansResult {
  checkMatrix('kMeans: points', points)
  checkMatrix('kMeans: start', start)
  checkFinite('kMeans: points', points.data)
  checkFinite('kMeans: start', start.data)
  checkInteger('kMeans: number of centres', start.rows, 1, points.rows)
  checkInteger('kMeans: iterations', iterations, 0)
  if (points.cols !== start.cols) {
    throw new RangeError(`kMeans: points are ${shapeOf(points)} but the centres are ${shapeOf(start)}`)
  }
  const data = Float64Array.from(points.data)
  const centres = matrix(start.rows, start.cols, start.data)
  const labels = new Int32Array(points.rows)
  let done = 0
  let converged = false
  while (done < iterations && !converged) {
    assign(data, centres, labels)
    converged = update(data, centres, labels) <= tolerance
    done++
  }
  const inertia = assign(data, centres, labels)
  return { centres, labels, inertia, iterations: done, converged }
}

/** The index that `mass`, counted along the weights from the first, falls into; never one of weight 0. */
function indexAtShare(weights: Float64Array, mass: number): number {
  let last = 0
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue
    // Rounding may leave a trace of mass after the last weight.
    last = i
    mass -= weights[i]
    if (mass < 0) break
  }
  return last
}

/**
 * First centres for k-means by D^2 sampling (Arthur and Vassilvitskii 2007, "k-means++"): each next centre is a point
 * drawn with probability proportional to its squared distance from the nearest centre so far.
 *
 * @param points [n, d], finite
 * @param k from 1 to n
 * @param seed integer; the same seed gives the same centres
 * @returns [k, d], rows of `points`
 */
export function kMeansPlusPlus(points: MatrixLike, k: number, seed: number): Matrix {
  checkMatrix('kMeansPlusPlus: points', points)
  checkFinite('kMeansPlusPlus: points', points.data)
  checkInteger('kMeansPlusPlus: k', k, 1, points.rows)
  const { rows: n, cols: d } = points
  const random = xoroshiro128plus(seed)
  const centres = matrix(k, d)
  const distance = new Float64Array(n).fill(Infinity)
  let chosen = uniformInt(random, 0, n - 1)
  for (let c = 0; c < k; c++) {
    for (let axis = 0; axis < d; axis++) centres.data[c * d + axis] = points.data[chosen * d + axis]
    let total = 0
    for (let i = 0; i < n; i++) {
      distance[i] = Math.min(distance[i], squaredDistance(points.data, i, centres.data, c, d))
      total += distance[i]
    }
    // Where every point already is a centre, any point serves.
    chosen = total > 0 ? indexAtShare(distance, uniformFloat64(random) * total) : uniformInt(random, 0, n - 1)
  }
  return centres
}
