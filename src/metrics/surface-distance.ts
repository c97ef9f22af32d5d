import { checkInteger, checkSameLength } from '../numerics/matrix.ts'

/**
 * Squared distance of each pixel to the nearest one of a set, exact (Felzenszwalb and Huttenlocher 2012: lower envelope of
 * parabolas, along rows and then along columns).
 */
function squaredDistances(members: Uint8Array, height: number, width: number): Float64Array {
  const far = 4 * (height + width) ** 2
  const field = Float64Array.from(members, member => (member ? 0 : far))
  const longest = Math.max(height, width)
  const line = new Float64Array(longest)
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) line[y] = field[y * width + x]
    const swept = envelope(line, height)
    for (let y = 0; y < height; y++) field[y * width + x] = swept[y]
  }
  for (let y = 0; y < height; y++) {
    const row = field.subarray(y * width, (y + 1) * width)
    line.set(row)
    row.set(envelope(line, width))
  }
  return field
}

/** min over q of (p - q)^2 + f(q) for every p. */
function envelope(f: Float64Array, n: number): Float64Array {
  const places = new Int32Array(n)
  const starts = new Float64Array(n + 1)
  starts[0] = Number.NEGATIVE_INFINITY
  starts[1] = Number.POSITIVE_INFINITY
  let last = 0
  for (let q = 1; q < n; q++) {
    const crossing = (p: number): number => (f[q] + q * q - f[p] - p * p) / (2 * (q - p))
    while (crossing(places[last]) <= starts[last]) last--
    starts[last + 1] = crossing(places[last])
    places[++last] = q
    starts[last + 1] = Number.POSITIVE_INFINITY
  }
  const out = new Float64Array(n)
  for (let p = 0, k = 0; p < n; p++) {
    while (starts[k + 1] < p) k++
    out[p] = (p - places[k]) ** 2 + f[places[k]]
  }
  return out
}

/** Members with a neighbour (of four) that is none; the picture's edge counts as outside. */
function surface(members: Uint8Array, height: number, width: number): Uint8Array {
  return members.map((member, at) => {
    if (!member) return 0
    const [x, y] = [at % width, Math.floor(at / width)]
    const inside =
      x > 0 &&
      x < width - 1 &&
      y > 0 &&
      y < height - 1 &&
      members[at - 1] &&
      members[at + 1] &&
      members[at - width] &&
      members[at + width]
    return inside ? 0 : 1
  })
}

/**
 * 95th percentile of the distances, in pixels, from each surface pixel of either mask to the nearest surface pixel of the
 * other (HD95; both directions together, percentile interpolated linearly).
 *
 * @param truth [height, width], nonzero inside
 * @param predicted [height, width]
 * @returns 0 for two empty masks, NaN where only one is empty
 */
export function hausdorff95(
  truth: ArrayLike<number>,
  predicted: ArrayLike<number>,
  height: number,
  width: number,
): number {
  checkSameLength('hausdorff95: masks', truth, predicted)
  checkInteger('hausdorff95: pixels', truth.length, height * width, height * width)
  const masks = [truth, predicted].map(mask => Uint8Array.from(mask, value => Number(value !== 0)))
  const [a, b] = masks.map(mask => surface(mask, height, width))
  const [someA, someB] = [a.includes(1), b.includes(1)]
  if (!someA || !someB) return someA === someB ? 0 : Number.NaN
  const [toA, toB] = [a, b].map(mask => squaredDistances(mask, height, width))
  const distances: number[] = []
  for (let at = 0; at < a.length; at++) {
    if (a[at]) distances.push(Math.sqrt(toB[at]))
    if (b[at]) distances.push(Math.sqrt(toA[at]))
  }
  distances.sort((p, q) => p - q)
  const place = 0.95 * (distances.length - 1)
  const below = Math.floor(place)
  const above = Math.min(below + 1, distances.length - 1)
  return distances[below] + (place - below) * (distances[above] - distances[below])
}
