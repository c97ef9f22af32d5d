import jstat from 'jstat'

/** How much the first of two arms is better than the second. */
export interface Difference {
  readonly mean: number
  /** Of the mean over seeds, Student's t with n - 1 degrees of freedom. */
  readonly interval: readonly [low: number, high: number]
  readonly perSeed: readonly number[]
}

export const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** Sample deviation; 0 for one value. */
export function deviationOf(values: readonly number[]): number {
  if (values.length < 2) return 0
  const mean = meanOf(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1))
}

/**
 * Differences paired by seed, positive where the first arm is better: mean d and d +- t s / sqrt(n) (Student 1908).
 *
 * @param first value of each seed
 * @param second value of each seed, in the same order
 * @param level of the interval; default 0.95
 * @returns an interval without end for one seed
 * @throws RangeError when the arms have no or different numbers of seeds
 */
export function pairedDifference(
  first: readonly number[],
  second: readonly number[],
  better: 'higher' | 'lower',
  level = 0.95,
): Difference {
  if (first.length === 0 || first.length !== second.length)
    throw new RangeError(`difference: ${first.length} values against ${second.length}; expected as many, at least one`)
  const sign = better === 'higher' ? 1 : -1
  const perSeed = first.map((value, i) => sign * (value - second[i]))
  const mean = meanOf(perSeed)
  const n = perSeed.length
  if (n === 1) return { mean, interval: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY], perSeed }
  const half = (jstat.studentt.inv((1 + level) / 2, n - 1) * deviationOf(perSeed)) / Math.sqrt(n)
  return { mean, interval: [mean - half, mean + half], perSeed }
}
