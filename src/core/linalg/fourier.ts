import { safeSqrt } from '../ops/distance.ts'
import { add, mul, neg, requireFloat, sub } from '../ops/elementwise.ts'
import { moveAxis, slice, squeeze } from '../ops/layout.ts'
import { matmul } from '../ops/matmul.ts'
import { formatShape, normalizeAxis, requireConcrete, sameShape } from '../shape.ts'
import { asTensor, constant, type Tensor, type TensorLike } from '../tensor.ts'
import { sharedConstant } from './matrices.ts'

/** A complex tensor as its two parts, of one shape. */
export interface Complex {
  readonly real: Tensor
  readonly imaginary: Tensor
}

/** Where the factor 1/n goes: into the inverse (`backward`), the forward (`forward`), or its root into both (`ortho`). */
export type FourierNorm = 'backward' | 'ortho' | 'forward'

/**
 * Transforms are products with constant matrices of cosines and sines: n^2 operations a line instead of n log n, but at
 * the speed of matrix products, which wins up to some hundred points; and their gradients are products too.
 */
function waves(kind: 'cos' | 'sin', size: number, frequencies: number, scale: number, weigh: boolean): Tensor {
  const data = sharedConstant(`${kind} ${size} ${frequencies} ${scale} ${weigh}`, () =>
    Float32Array.from({ length: size * frequencies }, (_, i) => {
      const place = Math.floor(i / frequencies)
      const frequency = i % frequencies
      // The product is reduced first: the angle of a large one would lose digits.
      const angle = (2 * Math.PI * ((place * frequency) % size)) / size
      const mirrored = weigh && frequency !== 0 && 2 * frequency !== size ? 2 : 1
      return mirrored * scale * (kind === 'cos' ? Math.cos(angle) : Math.sin(angle))
    }),
  )
  return constant(data, [size, frequencies])
}

function scaleOf(norm: FourierNorm, size: number, inverse: boolean): number {
  if (norm === 'ortho') return 1 / Math.sqrt(size)
  return (norm === 'backward') === inverse ? 1 / size : 1
}

interface LineOptions {
  /** Axis to transform; default the last. */
  readonly axis?: number
  /** Default `backward`. */
  readonly norm?: FourierNorm
}

function alongLast(op: string, x: Tensor, axis: number): { line: Tensor; back: (t: Tensor) => Tensor; size: number } {
  requireFloat(op, x)
  const along = normalizeAxis(op, axis, x.rank)
  requireConcrete(op, x.shape, [along])
  const size = x.shape[along]
  if (size === 0) throw new Error(`${op}: axis ${along} of ${formatShape(x.shape)} is empty`)
  return { line: moveAxis(x, along, -1), back: t => moveAxis(t, -1, along), size }
}

/**
 * Discrete Fourier transform of real lines, without the mirrored half: X_k = sum_j x_j e^(-2 pi i j k / n), k = 0 … n/2.
 * @param x real, any shape
 * @returns the axis shortened to floor(n/2) + 1
 */
export function rfft(x: TensorLike, { axis = -1, norm = 'backward' }: LineOptions = {}): Complex {
  const { line, back, size } = alongLast('rfft', asTensor(x), axis)
  const frequencies = Math.floor(size / 2) + 1
  const scale = scaleOf(norm, size, false)
  return {
    real: back(matmul(line, waves('cos', size, frequencies, scale, false))),
    imaginary: back(neg(matmul(line, waves('sin', size, frequencies, scale, false)))),
  }
}

/**
 * The real lines of `size` points whose {@link rfft} is given.
 * @param size number of points; default 2 (k - 1) for k frequencies
 * @throws when the spectrum does not have floor(size/2) + 1 frequencies
 */
export function irfft(
  spectrum: Complex,
  { axis = -1, norm = 'backward', size }: LineOptions & { readonly size?: number } = {},
): Tensor {
  requireComplex('irfft', spectrum)
  const real = alongLast('irfft', spectrum.real, axis)
  const imaginary = alongLast('irfft', spectrum.imaginary, axis)
  const points = size ?? 2 * (real.size - 1)
  if (!Number.isInteger(points) || points < 1 || real.size !== Math.floor(points / 2) + 1)
    throw new Error(
      `irfft: ${real.size} frequencies do not make ${points} points; expected ${Math.floor(points / 2) + 1}`,
    )
  const scale = scaleOf(norm, points, true)
  const wave = (kind: 'cos' | 'sin'): Tensor => waves(kind, points, real.size, scale, true)
  return real.back(
    sub(
      matmul(real.line, wave('cos'), { transposeB: true }),
      matmul(imaginary.line, wave('sin'), { transposeB: true }),
    ),
  )
}

function transform(op: string, x: Complex, axis: number, norm: FourierNorm, inverse: boolean): Complex {
  requireComplex(op, x)
  const real = alongLast(op, x.real, axis)
  const imaginary = alongLast(op, x.imaginary, axis)
  const scale = scaleOf(norm, real.size, inverse)
  const cos = waves('cos', real.size, real.size, scale, false)
  const sin = waves('sin', real.size, real.size, inverse ? -scale : scale, false)
  return {
    real: real.back(add(matmul(real.line, cos), matmul(imaginary.line, sin))),
    imaginary: real.back(sub(matmul(imaginary.line, cos), matmul(real.line, sin))),
  }
}

function requireComplex(op: string, { real, imaginary }: Complex): void {
  if (!sameShape(real.shape, imaginary.shape))
    throw new Error(
      `${op}: real part ${formatShape(real.shape)} and imaginary part ${formatShape(imaginary.shape)} differ`,
    )
}

/** A real tensor as a complex one. */
export const complex = (real: TensorLike, imaginary?: TensorLike): Complex => {
  const first = asTensor(real)
  return { real: first, imaginary: imaginary === undefined ? mul(first, 0) : asTensor(imaginary) }
}

const isComplex = (x: TensorLike | Complex): x is Complex => typeof x === 'object' && 'imaginary' in x

/** Discrete Fourier transform of complex or real lines: X_k = sum_j x_j e^(-2 pi i j k / n). */
export const fft = (x: TensorLike | Complex, { axis = -1, norm = 'backward' }: LineOptions = {}): Complex =>
  transform('fft', isComplex(x) ? x : complex(x), axis, norm, false)

/** Inverse of {@link fft}. */
export const ifft = (x: Complex, { axis = -1, norm = 'backward' }: LineOptions = {}): Complex =>
  transform('ifft', x, axis, norm, true)

interface PlaneOptions {
  /** Default `backward`. */
  readonly norm?: FourierNorm
}

/** {@link rfft} over the last axis, then {@link fft} over the one before it. x [..., height, width], real */
export const rfft2 = (x: TensorLike, { norm }: PlaneOptions = {}): Complex =>
  fft(rfft(x, { axis: -1, norm }), { axis: -2, norm })

/** Inverse of {@link rfft2}. @param width number of columns; default 2 (k - 1) for k frequencies */
export const irfft2 = (x: Complex, { norm, width }: PlaneOptions & { readonly width?: number } = {}): Tensor =>
  irfft(ifft(x, { axis: -2, norm }), { axis: -1, norm, size: width })

/** {@link fft} over the last two axes of a complex or real tensor. */
export const fft2 = (x: TensorLike | Complex, { norm }: PlaneOptions = {}): Complex =>
  fft(fft(x, { axis: -1, norm }), { axis: -2, norm })

/** Inverse of {@link fft2}. */
export const ifft2 = (x: Complex, { norm }: PlaneOptions = {}): Complex =>
  ifft(ifft(x, { axis: -1, norm }), { axis: -2, norm })

/** |z|, with gradient 0 where z is 0. */
export const complexAbs = ({ real, imaginary }: Complex): Tensor =>
  safeSqrt(add(mul(real, real), mul(imaginary, imaginary)))

/** Product of complex tensors, with broadcasting. */
export const complexMul = (a: Complex, b: Complex): Complex => ({
  real: sub(mul(a.real, b.real), mul(a.imaginary, b.imaginary)),
  imaginary: add(mul(a.real, b.imaginary), mul(a.imaginary, b.real)),
})

/**
 * A learnt filter in the frequency domain: irfft2(rfft2(x) * weight), orthonormal both ways.
 * @param x [..., height, width]
 * @param weight [..., height, floor(width/2) + 1, 2], real and imaginary parts last; leading axes broadcast
 * @throws when the weight does not fit the spectrum. Source: Rao et al. 2021 (GFNet)
 */
export function spectralFilter2d(x: TensorLike, weight: TensorLike): Tensor {
  const input = asTensor(x)
  const factors = asTensor(weight)
  const [height, width] = input.shape.slice(-2)
  const expected = [height, Math.floor(width / 2) + 1, 2]
  if (factors.rank < 3 || !sameShape(factors.shape.slice(-3), expected))
    throw new Error(
      `spectralFilter2d: ${formatShape(input.shape)} needs a weight [..., ${expected}], got ${formatShape(factors.shape)}`,
    )
  const part = (index: number): Tensor => squeeze(slice(factors, -1, index, index + 1), -1)
  const filtered = complexMul(rfft2(input, { norm: 'ortho' }), { real: part(0), imaginary: part(1) })
  return irfft2(filtered, { norm: 'ortho', width })
}
