import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { checkFinite, checkInteger, checkSameLength } from '../numerics/matrix.ts'

/**
 * Two-sided exact sign test: the chance that fair coin flips split as unevenly as `wins` and `losses` did. Over the samples
 * that one of two classifiers gets right and the other wrong, this is McNemar's exact test (McNemar 1947).
 *
 * @param wins how often the first was better
 * @param losses how often the second was better; ties are left out
 * @returns p from 0 to 1; 1 without wins and losses
 */
export function signTest(wins: number, losses: number): number {
  checkInteger('signTest: wins', wins, 0)
  checkInteger('signTest: losses', losses, 0)
  const n = wins + losses
  // Binomial coefficients as logarithms: they overflow from n = 1030 on.
  let logTerm = -n * Math.LN2
  let tail = Math.exp(logTerm)
  for (let k = 1; k <= Math.min(wins, losses); k++) {
    logTerm += Math.log((n - k + 1) / k)
    tail += Math.exp(logTerm)
  }
  return Math.min(1, 2 * tail)
}

/** Options of `pairedPermutationTest`. */
export interface PermutationOptions {
  /** Random sign patterns to try where there are too many for all of them; default 10000. */
  readonly permutations?: number
  /** Integer; the same seed gives the same p; default 0. */
  readonly seed?: number
}

/** Up to this many pairs every pattern of signs is tried. */
const exhaustivePairs = 14

/**
 * Two-sided paired permutation test (Fisher 1935): the share of sign patterns for the differences a_i - b_i whose mean is
 * at least as far from 0 as the observed one.
 *
 * @param a [n], finite, n at least 1
 * @param b [n], finite, in the same order
 * @returns p above 0, at most 1: exact for n up to 14, else (1 + hits) / (1 + permutations)
 */
export function pairedPermutationTest(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { permutations = 10000, seed = 0 }: PermutationOptions = {},
): number {
  checkSameLength('pairedPermutationTest: values', a, b)
  checkInteger('pairedPermutationTest: number of pairs', a.length, 1)
  checkInteger('pairedPermutationTest: permutations', permutations, 1)
  const differences = Float64Array.from(a, (value, i) => value - b[i])
  checkFinite('pairedPermutationTest: differences', differences)
  const magnitude = differences.reduce((sum, value) => sum + Math.abs(value), 0)
  // Sums in another order differ by rounding; a pattern that ties must count.
  const observed = Math.abs(differences.reduce((sum, value) => sum + value, 0)) - 1e-12 * magnitude
  const isAsFar = (flips: (i: number) => boolean) =>
    Math.abs(differences.reduce((sum, value, i) => sum + (flips(i) ? -value : value), 0)) >= observed
  let hits = 0
  if (differences.length <= exhaustivePairs) {
    const patterns = 2 ** differences.length
    for (let pattern = 0; pattern < patterns; pattern++) if (isAsFar(i => ((pattern >> i) & 1) === 1)) hits++
    return hits / patterns
  }
  const random = xoroshiro128plus(seed)
  for (let p = 0; p < permutations; p++) if (isAsFar(() => uniformInt(random, 0, 1) === 1)) hits++
  return (1 + hits) / (1 + permutations)
}
