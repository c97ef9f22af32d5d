import { checkFinite, checkInteger, checkSameLength } from '../numerics/matrix.ts'

function checkPaired(metric: string, x: ArrayLike<number>, y: ArrayLike<number>): void {
  checkSameLength(`${metric}: values`, x, y)
  checkInteger(`${metric}: number of values`, x.length, 2)
  checkFinite(`${metric}: first values`, x)
  checkFinite(`${metric}: second values`, y)
}

const centred = (values: ArrayLike<number>): Float64Array => {
  const copy = Float64Array.from(values)
  // Rounding of the mean would make a constant look as if it varied.
  if (copy.every(value => value === copy[0])) return copy.fill(0)
  const mean = copy.reduce((sum, value) => sum + value, 0) / copy.length
  return copy.map(value => value - mean)
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i], 0)

/**
 * Pearson's correlation, covariance over the product of standard deviations.
 *
 * @param x [n], n at least 2, finite
 * @param y [n]
 * @returns from -1 to 1; NaN if either never varies
 */
export function pearsonCorrelation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkPaired('pearsonCorrelation', x, y)
  const [a, b] = [centred(x), centred(y)]
  const value = dot(a, b) / (Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b)))
  return Math.min(1, Math.max(-1, value))
}

/** Ranks from 1; equal values share the mean of theirs. */
export function averageRanks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b])
  const ranks = new Float64Array(values.length)
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && values[order[end]] === values[order[start]]) end++
    for (let at = start; at < end; at++) ranks[order[at]] = (start + 1 + end) / 2
  }
  return ranks
}

/**
 * Spearman's rank correlation: Pearson's over ranks, equal values sharing their mean rank.
 *
 * @param x [n], n at least 2, finite
 * @param y [n]
 * @returns from -1 to 1; NaN if either never varies
 */
export function spearmanCorrelation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkPaired('spearmanCorrelation', x, y)
  return pearsonCorrelation(averageRanks(x), averageRanks(y))
}
