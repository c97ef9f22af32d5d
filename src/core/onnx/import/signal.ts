import { type DType, fromNumbers } from '../../dtype.ts'
import { complex, fft, ifft, rfft } from '../../linalg/index.ts'
import { gather, moveAxis, mul, pad, reshape, slice, squeeze, stack } from '../../ops/index.ts'
import { formatShape, normalizeAxis, requireConcrete } from '../../shape.ts'
import { constant, type Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReader, OperatorReaders } from './node-reader.ts'

/** Window lengths and transform sizes are written out as constants up to this size. */
const MAX_LENGTH = 2 ** 13

function lengthOf(value: number, what: string): number {
  if (!(Number.isInteger(value) && value >= 1 && value <= MAX_LENGTH))
    throw new Error(`${what} is ${value}, expected 1 to ${MAX_LENGTH}`)
  return value
}

const numbers = (values: readonly number[], shape: readonly number[], dtype: DType = 'f32'): Tensor =>
  constant(fromNumbers(dtype, values), shape, dtype)

/** sum_k c_k cos(2 pi k n / N), N being the length, or one less where the window is symmetric. */
const window =
  (...coefficients: readonly number[]): OperatorReader =>
  node => {
    const length = lengthOf(node.number(0), 'the length')
    const period = node.flag('periodic', true) ? length : length - 1
    const values = Array.from({ length }, (_, n) =>
      coefficients.reduce((total, c, k) => total + c * Math.cos((2 * Math.PI * k * n) / period), 0),
    )
    return numbers(values, [length], node.dtype('output_datatype') ?? 'f32')
  }

interface Transform {
  readonly inverse: boolean
  readonly onesided: boolean
  readonly length: number
}

/**
 * Discrete Fourier transform along the last axis but one of [..., samples, 1 or 2] (real, or real and imaginary parts).
 */
function transform(x: Tensor, { inverse, onesided, length }: Transform): Tensor {
  const count = x.shape[x.rank - 2]
  const fitted =
    count > length
      ? slice(x, -2, 0, length)
      : pad(
          x,
          x.shape.map((_, axis): [number, number] => [0, axis === x.rank - 2 ? length - count : 0]),
        )
  const part = (i: number): Tensor => squeeze(slice(fitted, -1, i, i + 1), -1)
  const isReal = x.shape[x.rank - 1] === 1
  const whole = isReal ? complex(part(0)) : complex(part(0), part(1))
  const spectrum = inverse ? ifft(whole) : isReal ? (onesided ? rfft : fft)(part(0)) : fft(whole)
  const bins = onesided ? Math.floor(length / 2) + 1 : length
  const cut = (t: Tensor): Tensor => (t.shape[t.rank - 1] === bins ? t : slice(t, -1, 0, bins))
  return stack([cut(spectrum.real), cut(spectrum.imaginary)], -1)
}

function requireComplex(x: Tensor): void {
  const last = x.shape[x.rank - 1]
  if (x.rank < 3 || (last !== 1 && last !== 2))
    throw new Error(`its input is ${formatShape(x.shape)}, expected [batch, samples…, 1 or 2]`)
}

/** The axis is an attribute in operator set 17 and an input since 20. */
function fourier(node: NodeReader): Tensor {
  const x = node.input(0)
  requireComplex(x)
  const axis = normalizeAxis(
    node.op,
    node.has(2) ? node.number(2) : node.int('axis', node.opset >= 20 ? -2 : 1),
    x.rank,
  )
  requireConcrete(node.op, x.shape, [axis])
  const length = lengthOf(node.has(1) ? node.number(1) : x.shape[axis], 'the length')
  const options = { inverse: node.flag('inverse'), onesided: node.flag('onesided'), length }
  return moveAxis(transform(moveAxis(x, axis, x.rank - 2), options), -2, axis)
}

/** Transforms of windowed frames of [batch, samples, 1 or 2]. */
function shortTime(node: NodeReader): Tensor {
  const signal = node.requireRank(0, 3)
  requireComplex(signal)
  const step = node.number(1)
  const window = node.optional(2)
  requireConcrete(node.op, signal.shape, [1])
  const length = lengthOf(node.has(3) ? node.number(3) : (window?.shape[0] ?? 0), 'the frame length')
  if (!(step >= 1)) throw new Error(`the frame step is ${step}, expected at least 1`)
  const frames = Math.floor((signal.shape[1] - length) / step) + 1
  if (frames < 1) throw new Error(`${signal.shape[1]} samples are shorter than a frame of ${length}`)
  const places = Array.from({ length: frames * length }, (_, i) => Math.floor(i / length) * step + (i % length))
  const cut = gather(signal, numbers(places, [frames, length], 'i64'), 1)
  const weighed = window ? mul(cut, reshape(window, [length, 1])) : cut
  return transform(weighed, { inverse: false, onesided: node.flag('onesided', true), length })
}

/** Triangular filters, equally spaced in mel, over the bins of a spectrum: [dft_length/2 + 1, bands]. */
function melWeights(node: NodeReader): Tensor {
  const bands = lengthOf(node.number(0), 'the number of bands')
  const length = lengthOf(node.number(1), 'the transform length')
  const [rate, lower, upper] = [node.number(2), node.number(3), node.number(4)]
  const mel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700)
  const hertz = (value: number): number => 700 * (10 ** (value / 2595) - 1)
  const spacing = (mel(upper) - mel(lower)) / (bands + 2)
  const edges = Array.from({ length: bands + 2 }, (_, i) =>
    Math.floor(((length + 1) * hertz(mel(lower) + i * spacing)) / rate),
  )
  const bins = Math.floor(length / 2) + 1
  const weights = Array.from({ length: bins * bands }, (_, i) => {
    const [bin, band] = [Math.floor(i / bands), i % bands]
    const [start, peak, end] = edges.slice(band, band + 3)
    if (bin === peak) return 1
    if (bin > peak) return bin < end ? (end - bin) / (end - peak) : 0
    return bin >= start ? (bin - start) / (peak - start) : 0
  })
  return numbers(weights, [bins, bands], node.dtype('output_datatype') ?? 'f32')
}

export const signalReaders: OperatorReaders = {
  BlackmanWindow: window(0.42, -0.5, 0.08),
  DFT: fourier,
  HammingWindow: window(25 / 46, -21 / 46),
  HannWindow: window(0.5, -0.5),
  MelWeightMatrix: melWeights,
  STFT: shortTime,
}
