import type { Picture, Ranker } from './ranker.ts'

/** Side, in pixels, of the pictures that the baselines look at. */
export const baselineSize = 32

const orientations = 9
const cell = 8
const cells = baselineSize / cell
const blocks = cells - 1
const blockLength = 4 * orientations
/** Length of `orientedGradients`. */
export const gradientLength = blocks * blocks * blockLength

/**
 * Shrinks one channel of an RGB picture: the mean of what falls into each pixel.
 *
 * @param value of the channel, given where the three bytes of a pixel start
 * @returns [side, side]
 */
export function averagedPixels(size: number, side: number, value: (at: number) => number): Uint8Array {
  const out = new Uint8Array(side * side)
  const edge = (i: number) => Math.floor((i * size) / side)
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      let sum = 0
      let count = 0
      for (let y = edge(row); y < edge(row + 1); y++) {
        for (let x = edge(column); x < edge(column + 1); x++) {
          sum += value(3 * (y * size + x))
          count++
        }
      }
      out[row * side + column] = Math.round(sum / count)
    }
  }
  return out
}

/**
 * Grey picture of `baselineSize`, by averaging the pixels that fall into each of its own: 0 is black, 255 white.
 *
 * @throws RangeError if the picture is smaller than that or its bytes are not its size
 */
export function greyThumbnail({ pixels, size }: Picture): Uint8Array {
  if (pixels.length !== 3 * size * size || size < baselineSize)
    throw new RangeError(
      `greyThumbnail: ${pixels.length} bytes are no RGB picture of ${size} x ${size}, ${baselineSize} or more`,
    )
  // Luma of ITU-R BT.601.
  return averagedPixels(size, baselineSize, at => 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2])
}

/** Gradient magnitude by cell and unsigned orientation, each shared between the two nearest orientations. */
function cellHistograms(grey: ArrayLike<number>): Float32Array {
  const histograms = new Float32Array(cells * cells * orientations)
  const at = (y: number, x: number) =>
    grey[Math.min(baselineSize - 1, Math.max(0, y)) * baselineSize + Math.min(baselineSize - 1, Math.max(0, x))]
  for (let y = 0; y < baselineSize; y++) {
    for (let x = 0; x < baselineSize; x++) {
      const dx = at(y, x + 1) - at(y, x - 1)
      const dy = at(y + 1, x) - at(y - 1, x)
      const magnitude = Math.hypot(dx, dy)
      if (magnitude === 0) continue
      const angle = (Math.atan2(dy, dx) / Math.PI + 1) * orientations - 0.5
      const below = Math.floor(angle)
      const share = angle - below
      const start = (Math.floor(y / cell) * cells + Math.floor(x / cell)) * orientations
      histograms[start + ((below + orientations) % orientations)] += magnitude * (1 - share)
      histograms[start + ((below + 1) % orientations)] += magnitude * share
    }
  }
  return histograms
}

const normalise = (block: Float32Array): void => {
  const length = Math.hypot(...block) + 1e-3
  for (let i = 0; i < block.length; i++) block[i] /= length
}

/**
 * Histograms of oriented gradients (Dalal and Triggs 2005) of a grey picture of `baselineSize`: 9 unsigned orientations,
 * cells of 8 x 8 pixels, overlapping blocks of 2 x 2 cells, each block normalised, clipped at 0.2 and normalised again.
 *
 * @returns [gradientLength]
 */
export function orientedGradients(grey: ArrayLike<number>): Float32Array {
  if (grey.length !== baselineSize ** 2)
    throw new RangeError(`orientedGradients: ${grey.length} values are no picture of ${baselineSize} x ${baselineSize}`)
  const histograms = cellHistograms(grey)
  const out = new Float32Array(gradientLength)
  for (let row = 0; row < blocks; row++) {
    for (let column = 0; column < blocks; column++) {
      const block = out.subarray((row * blocks + column) * blockLength, (row * blocks + column + 1) * blockLength)
      for (let corner = 0; corner < 4; corner++) {
        const from = ((row + (corner >> 1)) * cells + column + (corner & 1)) * orientations
        block.set(histograms.subarray(from, from + orientations), corner * orientations)
      }
      normalise(block)
      for (let i = 0; i < block.length; i++) block[i] = Math.min(0.2, block[i])
      normalise(block)
    }
  }
  return out
}

/** The k rows nearest to a query by squared Euclidean distance; a row is left as soon as it cannot be among them. */
function nearestRows(rows: ArrayLike<number>, query: ArrayLike<number>, k: number): number[] {
  const width = query.length
  const found: { row: number; distance: number }[] = []
  let worst = Number.POSITIVE_INFINITY
  for (let row = 0; row * width < rows.length; row++) {
    const start = row * width
    let distance = 0
    for (let i = 0; i < width && distance < worst; ) {
      for (const end = Math.min(width, i + 64); i < end; i++) {
        const difference = rows[start + i] - query[i]
        distance += difference * difference
      }
    }
    if (distance >= worst) continue
    let place = found.length
    while (place > 0 && found[place - 1].distance > distance) place--
    found.splice(place, 0, { row, distance })
    if (found.length > k) found.pop()
    if (found.length === k) worst = found[k - 1].distance
  }
  return found.map(({ row }) => row)
}

function nearestRanker(
  name: string,
  ids: readonly string[],
  rows: ArrayLike<number>,
  featuresOf: (picture: Picture) => ArrayLike<number>,
): Ranker {
  return {
    name,
    answers: query => query.image !== undefined,
    async rank({ image }, k) {
      if (!image) return []
      return nearestRows(rows, featuresOf(image), k).map(row => ids[row])
    },
  }
}

function checkThumbnails(ids: readonly string[], thumbnails: Uint8Array): void {
  if (thumbnails.length !== ids.length * baselineSize ** 2)
    throw new RangeError(
      `${thumbnails.length} bytes are not ${ids.length} grey pictures of ${baselineSize} x ${baselineSize}`,
    )
}

/**
 * Nearest neighbours by grey pixels.
 *
 * @param thumbnails [ids.length, baselineSize, baselineSize] of `greyThumbnail`
 */
export function pixelRanker(ids: readonly string[], thumbnails: Uint8Array): Ranker {
  checkThumbnails(ids, thumbnails)
  return nearestRanker('pixels', ids, thumbnails, greyThumbnail)
}

/**
 * Nearest neighbours by histograms of oriented gradients.
 *
 * @param thumbnails [ids.length, baselineSize, baselineSize] of `greyThumbnail`
 */
export function gradientRanker(ids: readonly string[], thumbnails: Uint8Array): Ranker {
  checkThumbnails(ids, thumbnails)
  const area = baselineSize ** 2
  const rows = new Float32Array(ids.length * gradientLength)
  for (let i = 0; i < ids.length; i++)
    rows.set(orientedGradients(thumbnails.subarray(i * area, (i + 1) * area)), i * gradientLength)
  return nearestRanker('HOG', ids, rows, picture => orientedGradients(greyThumbnail(picture)))
}
