import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { checkFinite, checkInteger, checkSameLength } from '../numerics/matrix.ts'

/** Options of the bootstrap functions. */
export interface BootstrapOptions {
  /** Share of resamples that the interval holds; default 0.95. */
  readonly confidence?: number
  /** Number of resamples; default 2000. */
  readonly resamples?: number
  /** Integer; the same seed gives the same interval; default 0. */
  readonly seed?: number
}

/** An estimate with a percentile interval. */
export interface BootstrapInterval {
  /** The statistic of the sample itself. */
  readonly estimate: number
  readonly low: number
  readonly high: number
}

/** The mean of the values at some indices. */
function meanAt(values: ArrayLike<number>, indices: Int32Array): number {
  let sum = 0
  for (let i = 0; i < indices.length; i++) sum += values[indices[i]]
  return sum / indices.length
}

/** The quantile of sorted values by linear interpolation. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1)
  const below = Math.floor(at)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (at - below) * (sorted[above] - sorted[below])
}

/** Evaluates `statistic` on `sizes.length` groups of indices, each drawn with replacement from its size. */
function resampled(
  sizes: readonly number[],
  statistic: (...groups: Int32Array[]) => number,
  { confidence = 0.95, resamples = 2000, seed = 0 }: BootstrapOptions,
): BootstrapInterval {
  for (const size of sizes) checkInteger('bootstrap: sample size', size, 1)
  checkInteger('bootstrap: resamples', resamples, 1)
  if (!(confidence > 0 && confidence < 1)) {
    throw new RangeError(`bootstrap: confidence is ${confidence}; it must be between 0 and 1`)
  }
  const estimate = statistic(...sizes.map(size => Int32Array.from({ length: size }, (_, i) => i)))
  const random = xoroshiro128plus(seed)
  const drawn = sizes.map(size => new Int32Array(size))
  const statistics = new Float64Array(resamples)
  for (let r = 0; r < resamples; r++) {
    for (const group of drawn) for (let i = 0; i < group.length; i++) group[i] = uniformInt(random, 0, group.length - 1)
    statistics[r] = statistic(...drawn)
  }
  checkFinite('bootstrap: statistic of the resamples', statistics)
  statistics.sort()
  const tail = (1 - confidence) / 2
  return { estimate, low: quantile(statistics, tail), high: quantile(statistics, 1 - tail) }
}

/**
 * Percentile bootstrap (Efron 1979) of any metric over samples: the metric is computed on indices drawn with replacement.
 *
 * @param samples number of samples
 * @param metric the value for some indices (0 to samples - 1, with repeats); it must not keep the array
 * @throws RangeError if an option is out of range or the metric is not finite on a resample
 * @example bootstrapMetric(labels.length, indices => accuracyOf(indices), { seed: 1 })
 */
export const bootstrapMetric = (
  samples: number,
  metric: (indices: Int32Array) => number,
  options: BootstrapOptions = {},
): BootstrapInterval => resampled([samples], metric, options)

/**
 * Percentile bootstrap interval of the mean of some values.
 *
 * @param values [n], finite
 */
export function bootstrapMean(values: ArrayLike<number>, options: BootstrapOptions = {}): BootstrapInterval {
  checkFinite('bootstrapMean: values', values)
  return resampled([values.length], indices => meanAt(values, indices), options)
}

/**
 * Percentile bootstrap interval of the difference mean(a) - mean(b) of paired values, such as two systems on the same
 * samples: pairs are drawn, so what is hard for both cancels.
 *
 * @param a [n], finite
 * @param b [n], finite, in the same order
 */
export function bootstrapPairedDifference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: BootstrapOptions = {},
): BootstrapInterval {
  checkSameLength('bootstrapPairedDifference: values', a, b)
  return bootstrapMean(
    Float64Array.from(a, (value, i) => value - b[i]),
    options,
  )
}

/**
 * Percentile bootstrap interval of the difference mean(a) - mean(b) of independent values.
 *
 * @param a [n], finite
 * @param b [m], finite
 */
export function bootstrapDifference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: BootstrapOptions = {},
): BootstrapInterval {
  checkFinite('bootstrapDifference: a', a)
  checkFinite('bootstrapDifference: b', b)
  return resampled([a.length, b.length], (ofA, ofB) => meanAt(a, ofA) - meanAt(b, ofB), options)
}
