import { broadcastShapes, formatShape } from '../shape.ts'
import { asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { abs, add, div, greater, mul, relu, requireFloat, sqrt, sub, where } from './elementwise.ts'
import { expandDims, slice, swapAxes } from './layout.ts'
import { matmul } from './matmul.ts'
import { sum } from './reduce.ts'
import { topK } from './sort.ts'

/** Points of up to four coordinates get exact distances by default, at no more than twice the time of a matrix product. */
const EXACT_COORDINATES = 4
/** Up to this many coordinates differences are added up one coordinate at a time, without a tensor that holds them all. */
const UNROLLED_COORDINATES = 32

function pointSets(op: string, a: TensorLike, b: TensorLike): [Tensor, Tensor] {
  const [left, right] = [asTensor(a), asTensor(b)]
  requireFloat(op, left)
  if (left.rank < 2 || right.rank < 2 || left.shape.at(-1) !== right.shape.at(-1))
    throw new Error(
      `${op}: expected [..., points, coordinates] twice with equal coordinates, got ${formatShape(left.shape)} and ${formatShape(right.shape)}`,
    )
  broadcastShapes(op, left.shape.slice(0, -2), right.shape.slice(0, -2))
  return [left, right]
}

/** Sum over coordinates of f(a_i - b_j), one coordinate at a time where there are few. */
function sumOfDifferences(a: Tensor, b: Tensor, f: (difference: Tensor) => Tensor): Tensor {
  const coordinates = a.shape[a.rank - 1]
  if (coordinates === 0 || coordinates > UNROLLED_COORDINATES)
    return sum(f(sub(expandDims(a, -2), expandDims(b, -3))), -1)
  const terms = Array.from({ length: coordinates }, (_, i) =>
    f(sub(slice(a, -1, i, i + 1), swapAxes(slice(b, -1, i, i + 1), -1, -2))),
  )
  return terms.reduce(add)
}

export interface DistanceOptions {
  /**
   * Subtracts coordinates before squaring instead of expanding |a|^2 + |b|^2 - 2ab into a matrix product. The product is
   * much faster for long vectors, but leaves an error of about 1e-7 |a|^2, which swallows small distances between
   * long vectors. Default: true for up to 4 coordinates.
   */
  readonly exact?: boolean
}

/**
 * Squared Euclidean distances of all pairs: out[…, i, j] = |a_i - b_j|^2.
 * @param a [..., n, d]
 * @param b [..., m, d]; leading axes broadcast against those of `a`
 * @returns [..., n, m], never negative
 * @throws when the numbers of coordinates differ
 */
export function squaredDistances(a: TensorLike, b: TensorLike, { exact }: DistanceOptions = {}): Tensor {
  const [left, right] = pointSets('squaredDistances', a, b)
  if (exact ?? left.shape[left.rank - 1] <= EXACT_COORDINATES) return sumOfDifferences(left, right, d => mul(d, d))
  const lengths = (points: Tensor): Tensor => sum(mul(points, points), -1, true)
  const squares = add(lengths(left), swapAxes(lengths(right), -1, -2))
  return relu(sub(squares, mul(matmul(left, swapAxes(right, -1, -2)), 2)))
}

/** sqrt(x) for x >= 0, whose gradient at 0 is 0 instead of infinite: the subgradient of a distance of a point to itself. */
export function safeSqrt(x: TensorLike): Tensor {
  const input = asTensor(x)
  const positive = greater(input, 0)
  return where(positive, sqrt(where(positive, input, 1)), 0)
}

/** Euclidean distances of all pairs, gradient 0 where two points are equal; arguments as in {@link squaredDistances}. */
export const euclideanDistances = (a: TensorLike, b: TensorLike, options: DistanceOptions = {}): Tensor =>
  safeSqrt(squaredDistances(a, b, options))

/** Sums of absolute coordinate differences of all pairs (L1); arguments as in {@link squaredDistances}. */
export function manhattanDistances(a: TensorLike, b: TensorLike): Tensor {
  const [left, right] = pointSets('manhattanDistances', a, b)
  return sumOfDifferences(left, right, abs)
}

/**
 * Cosine distances of all pairs: 1 - a_i·b_j / (|a_i| |b_j|), 0 to 2. A zero vector is at distance 1 from everything,
 * with no gradient.
 * Arguments as in {@link squaredDistances}.
 */
export function cosineDistances(a: TensorLike, b: TensorLike): Tensor {
  const [left, right] = pointSets('cosineDistances', a, b)
  const unit = (x: Tensor): Tensor => {
    const square = sum(mul(x, x), -1, true)
    const positive = greater(square, 0)
    return where(positive, div(x, sqrt(where(positive, square, 1))), 0)
  }
  return sub(1, matmul(unit(left), swapAxes(unit(right), -1, -2)))
}

/** For every query, its nearest points in order. */
export interface NearestPoints {
  /** [..., queries, k], ascending */
  readonly squaredDistances: Tensor
  /** [..., queries, k] i64 places among the points */
  readonly indices: Tensor
}

/**
 * The k nearest points of every query by Euclidean distance, the nearest first; of equally near ones those with the lower
 * index come first. Compares all pairs; `numerics` has a k-d tree for the host.
 * @param queries [..., q, d]
 * @param points [..., p, d]
 * @param k 1 to p
 * @returns distances, through which gradients flow, and indices, to be used with `gather(points, indices, -2, { batchDims })`
 * @throws when the shapes do not fit or there are fewer than k points
 */
export function nearestPoints(
  queries: TensorLike,
  points: TensorLike,
  k: number,
  options: DistanceOptions = {},
): NearestPoints {
  const among = asTensor(points)
  if (!Number.isInteger(k) || k < 1 || k > (among.shape.at(-2) ?? 0))
    throw new Error(`nearestPoints: k is ${k}, expected 1 to the number of points in ${formatShape(among.shape)}`)
  const { values, indices } = topK(squaredDistances(queries, among, options), k, { largest: false })
  return { squaredDistances: values, indices }
}
