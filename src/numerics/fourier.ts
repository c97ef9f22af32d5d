/**
 * Discrete Fourier transforms in float64, of any length.
 *
 * fft.js transforms lengths that are powers of two; other lengths become a convolution of such a length (Bluestein 1970,
 * "A linear filtering approach to the computation of discrete Fourier transform").
 */
import FFT from 'fft.js'
import { checkInteger, checkSameLength } from './matrix.ts'

/** Complex numbers: real and imaginary parts side by side. */
export interface Complex {
  readonly real: Float64Array
  readonly imag: Float64Array
}

/** A complex input; no `imag` means zero imaginary parts. */
export interface ComplexLike {
  readonly real: ArrayLike<number>
  readonly imag?: ArrayLike<number>
}

/**
 * Where the factor 1/n goes: `backward` to the inverse transform (default), `forward` to the forward transform, `ortho` as
 * 1/sqrt(n) to both.
 */
export type FourierNorm = 'backward' | 'ortho' | 'forward'

/** Transforms interleaved (real, imaginary) values in place, without any scaling. */
type InPlaceTransform = (values: Float64Array, inverse: boolean) => void

function powerOfTwoTransform(size: number): InPlaceTransform {
  const radix = new FFT(size)
  const result = new Float64Array(2 * size)
  return (values, inverse) => {
    if (!inverse) {
      radix.transform(result, values)
      values.set(result)
      return
    }
    // fft.js divides by the size in its inverse; scaling is ours to place.
    radix.inverseTransform(result, values)
    for (let i = 0; i < values.length; i++) values[i] = result[i] * size
  }
}

function multiplyInterleaved(a: Float64Array, b: Float64Array): void {
  for (let i = 0; i < a.length; i += 2) {
    const real = a[i] * b[i] - a[i + 1] * b[i + 1]
    a[i + 1] = a[i] * b[i + 1] + a[i + 1] * b[i]
    a[i] = real
  }
}

/** jk = (j^2 + k^2 - (k - j)^2) / 2 turns the sum into a convolution with a chirp. */
function chirpTransform(size: number): InPlaceTransform {
  const padded = 2 ** Math.ceil(Math.log2(2 * size - 1))
  const convolve = powerOfTwoTransform(padded)
  const chirp = new Float64Array(2 * size)
  for (let k = 0; k < size; k++) {
    // k^2 modulo 2n, so that the angle stays small and exact for long transforms.
    const angle = (Math.PI * ((k * k) % (2 * size))) / size
    chirp[2 * k] = Math.cos(angle)
    chirp[2 * k + 1] = -Math.sin(angle)
  }
  const filter = new Float64Array(2 * padded)
  for (let k = 0; k < size; k++) {
    for (const at of [k, (padded - k) % padded]) {
      filter[2 * at] = chirp[2 * k]
      filter[2 * at + 1] = -chirp[2 * k + 1]
    }
  }
  convolve(filter, false)
  const buffer = new Float64Array(2 * padded)
  return (values, inverse) => {
    if (inverse) conjugate(values)
    buffer.fill(0)
    buffer.set(values)
    multiplyInterleaved(buffer.subarray(0, 2 * size), chirp)
    convolve(buffer, false)
    multiplyInterleaved(buffer, filter)
    convolve(buffer, true)
    for (let i = 0; i < 2 * size; i++) values[i] = buffer[i] / padded
    multiplyInterleaved(values, chirp)
    if (inverse) conjugate(values)
  }
}

function conjugate(values: Float64Array): void {
  for (let i = 1; i < values.length; i += 2) values[i] = -values[i]
}

function transformOf(size: number): InPlaceTransform {
  if (size === 1) return () => {}
  return (size & (size - 1)) === 0 ? powerOfTwoTransform(size) : chirpTransform(size)
}

function scaleFactor(size: number, inverse: boolean, norm: FourierNorm): number {
  if (norm === 'ortho') return 1 / Math.sqrt(size)
  return (norm === 'forward') === inverse ? 1 : 1 / size
}

function interleave({ real, imag }: ComplexLike): Float64Array {
  if (imag !== undefined) checkSameLength('fft: real and imaginary parts', real, imag)
  const values = new Float64Array(2 * real.length)
  for (let i = 0; i < real.length; i++) {
    values[2 * i] = real[i]
    if (imag !== undefined) values[2 * i + 1] = imag[i]
  }
  return values
}

function separate(values: Float64Array, factor: number): Complex {
  const real = new Float64Array(values.length / 2)
  const imag = new Float64Array(values.length / 2)
  for (let i = 0; i < real.length; i++) {
    real[i] = values[2 * i] * factor
    imag[i] = values[2 * i + 1] * factor
  }
  return { real, imag }
}

function transform1(signal: ComplexLike, inverse: boolean, norm: FourierNorm): Complex {
  const size = signal.real.length
  checkInteger('fft: length', size, 1)
  const values = interleave(signal)
  transformOf(size)(values, inverse)
  return separate(values, scaleFactor(size, inverse, norm))
}

function transform2(rows: number, cols: number, image: ComplexLike, inverse: boolean, norm: FourierNorm): Complex {
  checkInteger('fft2: rows', rows, 1)
  checkInteger('fft2: cols', cols, 1)
  if (image.real.length !== rows * cols) {
    throw new RangeError(`fft2: ${rows}x${cols} needs ${rows * cols} values, but ${image.real.length} were given`)
  }
  const values = interleave(image)
  const alongRow = transformOf(cols)
  for (let i = 0; i < rows; i++) alongRow(values.subarray(2 * i * cols, 2 * (i + 1) * cols), inverse)
  const alongColumn = transformOf(rows)
  const column = new Float64Array(2 * rows)
  for (let j = 0; j < cols; j++) {
    for (let i = 0; i < rows; i++) column.set(values.subarray(2 * (i * cols + j), 2 * (i * cols + j) + 2), 2 * i)
    alongColumn(column, inverse)
    for (let i = 0; i < rows; i++) values.set(column.subarray(2 * i, 2 * i + 2), 2 * (i * cols + j))
  }
  return separate(values, scaleFactor(rows * cols, inverse, norm))
}

/**
 * Forward transform X_k = sum over j of x_j exp(-2 pi i j k / n).
 *
 * @param signal n values, n at least 1, of any factorisation
 * @param norm default `backward`: no scaling here
 */
export const fft = (signal: ComplexLike, norm: FourierNorm = 'backward'): Complex => transform1(signal, false, norm)

/** Inverse of `fft` under the same `norm`. */
export const ifft = (spectrum: ComplexLike, norm: FourierNorm = 'backward'): Complex => transform1(spectrum, true, norm)

/**
 * Two-dimensional forward transform.
 *
 * @param rows height
 * @param cols width
 * @param image rows * cols values, row-major
 * @param norm default `backward`
 */
export const fft2 = (rows: number, cols: number, image: ComplexLike, norm: FourierNorm = 'backward'): Complex =>
  transform2(rows, cols, image, false, norm)

/** Inverse of `fft2` under the same `norm`. */
export const ifft2 = (rows: number, cols: number, spectrum: ComplexLike, norm: FourierNorm = 'backward'): Complex =>
  transform2(rows, cols, spectrum, true, norm)

/** How many frequencies a real signal of this length has: floor(n / 2) + 1; the others are their conjugates. */
const halfLength = (size: number) => Math.floor(size / 2) + 1

/** The first `halfLength(cols)` columns of a spectrum. */
function halfOf(rows: number, cols: number, { real, imag }: Complex): Complex {
  const kept = halfLength(cols)
  const half = { real: new Float64Array(rows * kept), imag: new Float64Array(rows * kept) }
  for (let i = 0; i < rows; i++) {
    half.real.set(real.subarray(i * cols, i * cols + kept), i * kept)
    half.imag.set(imag.subarray(i * cols, i * cols + kept), i * kept)
  }
  return half
}

/** The full spectrum of a real image from its half: X(i, j) = conj X(-i, -j). */
function completed(rows: number, cols: number, half: ComplexLike): Complex {
  const kept = halfLength(cols)
  if (half.real.length !== rows * kept) {
    throw new RangeError(`irfft: ${rows}x${cols} needs ${rows}x${kept} frequencies, but ${half.real.length} were given`)
  }
  const full = { real: new Float64Array(rows * cols), imag: new Float64Array(rows * cols) }
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      const mirrored = j >= kept
      const from = mirrored ? ((rows - i) % rows) * kept + (cols - j) : i * kept + j
      full.real[i * cols + j] = half.real[from]
      const imag = half.imag?.[from] ?? 0
      full.imag[i * cols + j] = mirrored ? -imag : imag
    }
  }
  return full
}

/**
 * Transform of a real signal: its first floor(n / 2) + 1 frequencies.
 *
 * @param signal n real values, n at least 1
 */
export const rfft = (signal: ArrayLike<number>, norm: FourierNorm = 'backward'): Complex =>
  halfOf(1, signal.length, fft({ real: signal }, norm))

/**
 * Inverse of `rfft`.
 *
 * @param spectrum floor(n / 2) + 1 frequencies
 * @param size n, which the spectrum does not tell by itself
 * @returns n real values
 */
export const irfft = (spectrum: ComplexLike, size: number, norm: FourierNorm = 'backward'): Float64Array =>
  ifft(completed(1, size, spectrum), norm).real

/**
 * Two-dimensional transform of a real image: the first floor(cols / 2) + 1 columns of its spectrum.
 *
 * @returns [rows, floor(cols / 2) + 1], row-major
 */
export const rfft2 = (rows: number, cols: number, image: ArrayLike<number>, norm: FourierNorm = 'backward'): Complex =>
  halfOf(rows, cols, fft2(rows, cols, { real: image }, norm))

/**
 * Inverse of `rfft2`.
 *
 * @param rows height of the image
 * @param cols width of the image
 * @param spectrum [rows, floor(cols / 2) + 1], row-major
 * @returns [rows, cols] real values
 */
export const irfft2 = (
  rows: number,
  cols: number,
  spectrum: ComplexLike,
  norm: FourierNorm = 'backward',
): Float64Array => ifft2(rows, cols, completed(rows, cols, spectrum), norm).real
