/** The middle value of `values` (the mean of the two middle ones when their number is even). Throws when there is none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('median: no values given; measure at least once')
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
