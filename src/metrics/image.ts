import { checkInteger } from '../numerics/matrix.ts'

/** An image as planes: value (channel c, row y, column x) is `data[(c * height + y) * width + x]`. */
export interface ImagePlanes {
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly data: ArrayLike<number>
}

function checkImages(metric: string, a: ImagePlanes, b: ImagePlanes): void {
  const shape = ({ channels, height, width }: ImagePlanes) => `${channels}x${height}x${width}`
  if (shape(a) !== shape(b)) {
    throw new RangeError(`${metric}: the images are ${shape(a)} and ${shape(b)}; they must be of one shape`)
  }
  for (const { channels, height, width, data } of [a, b]) {
    for (const extent of [channels, height, width]) checkInteger(`${metric}: extent of the images`, extent, 1)
    if (data.length !== channels * height * width) {
      throw new RangeError(`${metric}: an image of ${shape(a)} has ${data.length} values`)
    }
  }
}

/**
 * Peak signal-to-noise ratio 10 log10(peak^2 / mean squared error), in dB.
 *
 * @param a image
 * @param b image of the same shape
 * @param peak range of the values, default 1
 * @returns Infinity for equal images
 */
export function psnr(a: ImagePlanes, b: ImagePlanes, peak = 1): number {
  checkImages('psnr', a, b)
  let sum = 0
  for (let i = 0; i < a.data.length; i++) sum += (a.data[i] - b.data[i]) ** 2
  return 10 * Math.log10((peak * peak * a.data.length) / sum)
}

/** Options of `ssim`. */
export interface SsimOptions {
  /** Range of the values; default 1. */
  readonly peak?: number
  /** Standard deviation of the window in pixels; default 1.5. The window ends at 3.5 sigma: 11 taps. */
  readonly sigma?: number
}

/** Constants of the paper. */
const [k1, k2] = [0.01, 0.03]

function gaussianTaps(sigma: number): Float64Array {
  const radius = Math.floor(3.5 * sigma + 0.5)
  const taps = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  )
  const sum = taps.reduce((total, tap) => total + tap, 0)
  return taps.map(tap => tap / sum)
}

/** The windowed means of a plane, wherever the window fits inside. */
function blur(plane: Float64Array, height: number, width: number, taps: Float64Array): Float64Array {
  const [innerHeight, innerWidth] = [height - taps.length + 1, width - taps.length + 1]
  const rows = new Float64Array(height * innerWidth)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < innerWidth; x++) {
      for (let t = 0; t < taps.length; t++) rows[y * innerWidth + x] += taps[t] * plane[y * width + x + t]
    }
  }
  const out = new Float64Array(innerHeight * innerWidth)
  for (let y = 0; y < innerHeight; y++) {
    for (let t = 0; t < taps.length; t++) {
      for (let x = 0; x < innerWidth; x++) out[y * innerWidth + x] += taps[t] * rows[(y + t) * innerWidth + x]
    }
  }
  return out
}

/**
 * Structural similarity (Wang et al. 2004): the mean of
 * (2 mu_a mu_b + C1)(2 cov_ab + C2) / ((mu_a^2 + mu_b^2 + C1)(var_a + var_b + C2)), C1 = (0.01 peak)^2, C2 = (0.03 peak)^2,
 * with Gaussian-weighted population moments, over the pixels whose window lies inside and over channels.
 *
 * @param a image
 * @param b image of the same shape
 * @returns at most 1, which equal images reach
 * @throws RangeError if the shapes differ or the window does not fit
 */
export function ssim(a: ImagePlanes, b: ImagePlanes, { peak = 1, sigma = 1.5 }: SsimOptions = {}): number {
  checkImages('ssim', a, b)
  if (!(sigma > 0)) throw new RangeError(`ssim: sigma is ${sigma}; it must be above 0`)
  const { channels, height, width } = a
  const taps = gaussianTaps(sigma)
  if (Math.min(height, width) < taps.length) {
    throw new RangeError(`ssim: the images are ${height}x${width}, smaller than the window of ${taps.length} pixels`)
  }
  const [c1, c2] = [(k1 * peak) ** 2, (k2 * peak) ** 2]
  const size = height * width
  let sum = 0
  let windows = 0
  for (let c = 0; c < channels; c++) {
    const planeOf = ({ data }: ImagePlanes) => Float64Array.from({ length: size }, (_, i) => data[c * size + i])
    const [x, y] = [planeOf(a), planeOf(b)]
    const mean = (f: (i: number) => number) =>
      blur(
        x.map((_, i) => f(i)),
        height,
        width,
        taps,
      )
    const [meanX, meanY] = [mean(i => x[i]), mean(i => y[i])]
    const [meanXX, meanYY, meanXY] = [mean(i => x[i] * x[i]), mean(i => y[i] * y[i]), mean(i => x[i] * y[i])]
    for (let i = 0; i < meanX.length; i++) {
      const [xx, yy, xy] = [meanX[i] ** 2, meanY[i] ** 2, meanX[i] * meanY[i]]
      const likeness = (2 * xy + c1) * (2 * (meanXY[i] - xy) + c2)
      sum += likeness / ((xx + yy + c1) * (meanXX[i] - xx + meanYY[i] - yy + c2))
      windows++
    }
  }
  return sum / windows
}
