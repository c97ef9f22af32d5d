import { linearSumAssignment } from './assignment.ts'
import { checkFinite, checkInteger, checkMatrix, type Matrix, type MatrixLike, matrix, shapeOf } from './matrix.ts'

/** Log of a sum of exponentials; -Infinity for none. */
function logSumExp(count: number, term: (index: number) => number): number {
  let largest = -Infinity
  for (let i = 0; i < count; i++) largest = Math.max(largest, term(i))
  if (largest === -Infinity) return -Infinity
  let sum = 0
  for (let i = 0; i < count; i++) sum += Math.exp(term(i) - largest)
  return largest + Math.log(sum)
}

/** Options of `sinkhorn`. */
export interface SinkhornOptions {
  /** Weight of the entropy, above 0, in the unit of the cost. */
  readonly epsilon: number
  /** Most iterations, each updating f, then g; default 1000. */
  readonly iterations?: number
  /** Stop once the row marginals are off by at most this in total; default 0 runs all iterations. */
  readonly tolerance?: number
}

/** An entropic transport plan. */
export interface SinkhornResult {
  /** [n, m], non-negative, its rows summing to `a` and its columns to `b`. */
  readonly plan: Matrix
  /** [n] dual potential of the rows. */
  readonly f: Float64Array
  /** [m] dual potential of the columns. */
  readonly g: Float64Array
  /** sum over ij of plan_ij cost_ij. */
  readonly cost: number
  /** Sum of |row sums - a|; the columns are exact after every iteration. */
  readonly marginalError: number
}

function checkMarginal(name: string, weights: ArrayLike<number>, length: number): void {
  if (weights.length !== length) {
    throw new RangeError(`sinkhorn: ${name} has ${weights.length} weights, but the cost needs ${length}`)
  }
  checkFinite(`sinkhorn: ${name}`, weights)
  for (let i = 0; i < length; i++) {
    if (weights[i] < 0) throw new RangeError(`sinkhorn: ${name}[${i}] is ${weights[i]}; weights must not be negative`)
  }
}

const total = (weights: ArrayLike<number>) => Array.from(weights).reduce((sum, weight) => sum + weight, 0)

/**
 * Entropic optimal transport in the log domain (Cuturi 2013; Peyré and Cuturi 2019, section 4.4): the plan P that minimises
 * <P, C> - epsilon H(P) with row sums a and column sums b. From f = g = 0, each iteration sets
 * f_i = eps (log a_i - logsumexp_j (g_j - C_ij)/eps), then g_j likewise from f; P_ij = exp((f_i + g_j - C_ij)/eps).
 *
 * @param cost [n, m], finite
 * @param a [n] non-negative weights of the rows
 * @param b [m] non-negative weights of the columns, of the same sum
 * @throws RangeError if a shape or weight does not fit, the sums differ by over 1e-4 of `a`'s, or epsilon is not positive
 */
export function sinkhorn(
  cost: MatrixLike,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { epsilon, iterations = 1000, tolerance = 0 }: SinkhornOptions,
): SinkhornResult {
  checkMatrix('sinkhorn: cost', cost)
  checkFinite('sinkhorn: cost', cost.data)
  checkMarginal('a', a, cost.rows)
  checkMarginal('b', b, cost.cols)
  checkInteger('sinkhorn: iterations', iterations, 1)
  if (!(epsilon > 0)) throw new RangeError(`sinkhorn: epsilon is ${epsilon}; it must be above 0`)
  if (!(Math.abs(total(a) - total(b)) <= 1e-4 * total(a))) {
    throw new RangeError(`sinkhorn: a sums to ${total(a)} and b to ${total(b)}; the masses must be equal`)
  }
  const { rows: n, cols: m } = cost
  const f = new Float64Array(n)
  const g = new Float64Array(m)
  const c = Float64Array.from(cost.data, value => value / epsilon)
  // In units of epsilon, so that the loops only add.
  const rowSum = (i: number) => logSumExp(m, j => g[j] - c[i * m + j])
  let marginalError = Infinity
  for (let iteration = 0; iteration < iterations && marginalError > tolerance; iteration++) {
    for (let i = 0; i < n; i++) f[i] = Math.log(a[i]) - rowSum(i)
    for (let j = 0; j < m; j++) g[j] = Math.log(b[j]) - logSumExp(n, i => f[i] - c[i * m + j])
    if (tolerance === 0 && iteration < iterations - 1) continue
    marginalError = 0
    for (let i = 0; i < n; i++) marginalError += Math.abs(Math.exp(f[i] + rowSum(i)) - a[i])
  }
  const plan = matrix(n, m)
  let transported = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      plan.data[i * m + j] = Math.exp(f[i] + g[j] - c[i * m + j])
      transported += plan.data[i * m + j] * cost.data[i * m + j]
    }
  }
  const inCostUnit = (potential: Float64Array) => potential.map(value => value * epsilon)
  return { plan, f: inCostUnit(f), g: inCostUnit(g), cost: transported, marginalError }
}

/** Options of `sinkhornKnopp`. */
export interface SinkhornKnoppOptions {
  /** Temperature, above 0; default 0.05. */
  readonly epsilon?: number
  /** Default 3. */
  readonly iterations?: number
}

/**
 * Balanced soft assignment of samples to prototypes (Caron et al. 2020, "SwAV", Appendix A): exp(scores / epsilon), then in
 * turn every prototype takes an equal share of the batch and every sample a distribution over prototypes.
 *
 * @param scores [samples, prototypes]
 * @returns [samples, prototypes], every row summing to 1
 */
export function sinkhornKnopp(
  scores: MatrixLike,
  { epsilon = 0.05, iterations = 3 }: SinkhornKnoppOptions = {},
): Matrix {
  checkMatrix('sinkhornKnopp: scores', scores)
  checkFinite('sinkhornKnopp: scores', scores.data)
  checkInteger('sinkhornKnopp: iterations', iterations, 1)
  if (!(epsilon > 0)) throw new RangeError(`sinkhornKnopp: epsilon is ${epsilon}; it must be above 0`)
  const { rows, cols } = scores
  // Row and column scalings as logarithms: exp(score / 0.05) overflows for scores beyond 35.
  const sample = new Float64Array(rows)
  const prototype = new Float64Array(cols)
  const logit = (i: number, k: number) => scores.data[i * cols + k] / epsilon
  for (let iteration = 0; iteration < iterations; iteration++) {
    for (let k = 0; k < cols; k++) {
      prototype[k] = Math.log(rows / cols) - logSumExp(rows, i => logit(i, k) + sample[i])
    }
    for (let i = 0; i < rows; i++) sample[i] = -logSumExp(cols, k => logit(i, k) + prototype[k])
  }
  const out = matrix(rows, cols)
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < cols; k++) out.data[i * cols + k] = Math.exp(logit(i, k) + sample[i] + prototype[k])
  }
  return out
}

/** A matching of two point sets of equal size. */
export interface MatchedDistance {
  /** Mean Euclidean distance of the matched pairs. */
  readonly distance: number
  /** [n]: for each point of `a` its partner in `b`. */
  readonly partner: Int32Array
}

/**
 * Earth mover's distance between two sets of n points of equal weight: the smallest mean Euclidean distance over all
 * one-to-one matchings (Fan, Su and Guibas 2017, section 4.2).
 *
 * @param a [n, d], n at least 1
 * @param b [n, d]
 * @throws RangeError if the shapes differ or the sets are empty
 */
export function earthMoversDistance(a: MatrixLike, b: MatrixLike): MatchedDistance {
  checkMatrix('earthMoversDistance: a', a)
  checkMatrix('earthMoversDistance: b', b)
  checkInteger('earthMoversDistance: number of points', a.rows, 1)
  if (a.rows !== b.rows || a.cols !== b.cols) {
    throw new RangeError(`earthMoversDistance: a is ${shapeOf(a)} and b is ${shapeOf(b)}; the shapes must be equal`)
  }
  const { rows: n, cols: d } = a
  const cost = matrix(n, n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let axis = 0; axis < d; axis++) sum += (a.data[i * d + axis] - b.data[j * d + axis]) ** 2
      cost.data[i * n + j] = Math.sqrt(sum)
    }
  }
  const { columnOfRow, total: summed } = linearSumAssignment(cost)
  return { distance: summed / n, partner: columnOfRow }
}
