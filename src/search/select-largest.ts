const bucketCount = 4096

/**
 * Finds the rows of the largest scores in linear time: a histogram gives a threshold that at least `k` scores reach.
 *
 * @param scores [rows]; rows of -Infinity are left out
 * @param rows how many of `scores` count
 * @param k rows wanted
 * @returns at least min(k, candidates) rows, in no order: the largest k and those that share the last bucket
 */
export function selectLargest(scores: Float32Array, rows: number, k: number): Int32Array {
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (let row = 0; row < rows; row++) {
    const score = scores[row]
    if (score > most) most = score
    if (score < least && score !== Number.NEGATIVE_INFINITY) least = score
  }
  if (k <= 0 || least === Number.POSITIVE_INFINITY) return new Int32Array(0)
  const scale = most > least ? (bucketCount - 1) / (most - least) : 0
  const histogram = new Int32Array(bucketCount)
  for (let row = 0; row < rows; row++) {
    if (scores[row] !== Number.NEGATIVE_INFINITY) histogram[((scores[row] - least) * scale) | 0]++
  }
  let bucket = bucketCount - 1
  let found = histogram[bucket]
  while (found < k && bucket > 0) found += histogram[--bucket]
  const selected = new Int32Array(found)
  let at = 0
  for (let row = 0; row < rows; row++) {
    if (scores[row] !== Number.NEGATIVE_INFINITY && (((scores[row] - least) * scale) | 0) >= bucket)
      selected[at++] = row
  }
  return selected
}
