import type { Lowering } from '../primitive.ts'
import { type Shape, sizeOf } from '../shape.ts'
import { type ConvolutionGeometry, type Pair, span } from './window.ts'

export const transposed = (to: Lowering, name: string, permutation: readonly number[]): string =>
  permutation.every((axis, i) => axis === i) ? name : to.emit('Transpose', [name], { perm: { ints: permutation } })

/** One symbolic size is left to Reshape to work out. No size may be 0. */
export const reshaped = (to: Lowering, name: string, shape: Shape): string =>
  to.emit('Reshape', [name, to.ints(shape.map(dim => (dim < 0 ? -1 : dim)))])

/** ONNX's order of borders: all befores, then all afters. */
export const onnxPads = (pads: readonly Pair[]): number[] => [
  ...pads.map(pair => pair[0]),
  ...pads.map(pair => pair[1]),
]

export const onnxAttributes = ({ strides, pads, dilations, groups }: ConvolutionGeometry) => ({
  strides: { ints: strides },
  pads: { ints: onnxPads(pads) },
  dilations: { ints: dilations },
  group: { int: groups },
})

/** The weights of a convolution, in the order that its form asks for. */
export interface Kernel {
  /** [outChannels, channels / groups, kernel…] */
  readonly shape: Shape
  /** The weights in the order of `shape`. */
  plain(): string
  /** The weights as [channels / groups, taps, outChannels]: the order from which blocks of channels are cut fastest. */
  outLast(): string
}

/** Output channels up to which a product with the identity is a cheap way to transpose. */
const SMALL_IDENTITY = 256

/** Weights as they are. */
export function forwardKernel(to: Lowering, weight: string, shape: Shape): Kernel {
  const [outChannels, channels, ...kernel] = shape
  return {
    shape,
    plain: () => weight,
    outLast: () => {
      const taps = sizeOf(kernel)
      const rows = reshaped(to, weight, [outChannels, channels * taps])
      // The runtime merges a Transpose with the one that cuts blocks into a slow one; a product it leaves alone.
      const turned =
        outChannels <= SMALL_IDENTITY
          ? to.emit('Gemm', [rows, to.constant(identity(outChannels), [outChannels, outChannels], 'f32')], {
              transA: { int: 1 },
            })
          : transposed(to, rows, [1, 0])
      return reshaped(to, turned, [channels, taps, outChannels])
    },
  }
}

/** Weights [G O, C, k…] turned into those of the adjoint at stride 1: taps in reverse, channels exchanged, [G C, O, k…]. */
export function flippedKernel(to: Lowering, weight: string, shape: Shape, groups: number): Kernel {
  const [outChannels, channels, ...kernel] = shape
  const taps = sizeOf(kernel)
  const perGroup = outChannels / groups
  const flipped = [groups * channels, perGroup, ...kernel]
  return {
    shape: flipped,
    plain: () => {
      const rows = reshaped(to, weight, [groups, perGroup, channels, taps])
      // A product with the anti-identity reverses the taps several times faster than a slice with step -1 does.
      const backward =
        taps === 1 ? rows : to.emit('MatMul', [rows, to.constant(antiIdentity(taps), [taps, taps], 'f32')])
      return reshaped(to, transposed(to, backward, [0, 2, 1, 3]), flipped)
    },
    outLast: () => {
      const first =
        groups === 1
          ? transposed(to, reshaped(to, weight, [perGroup, channels, taps]), [0, 2, 1])
          : transposed(to, reshaped(to, weight, [groups, perGroup, channels, taps]), [1, 3, 0, 2])
      const rows = reshaped(to, first, [perGroup, taps, groups * channels])
      const backward = BigInt64Array.from({ length: taps }, (_, tap) => BigInt(taps - 1 - tap))
      return taps === 1 ? rows : to.emit('Gather', [rows, to.constant(backward, [taps], 'i64')], { axis: { int: 1 } })
    },
  }
}

const identity = (size: number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, i) => Number(Math.floor(i / size) === i % size))

const antiIdentity = (size: number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, i) => Number(Math.floor(i / size) + (i % size) === size - 1))

/** Everything a convolution is written from. */
export interface Convolution {
  readonly x: string
  readonly xShape: Shape
  readonly kernel: Kernel
  readonly bias: string | undefined
  readonly geometry: ConvolutionGeometry
  readonly outShape: Shape
}

/** One gradient of weights: x [N, G C, s…] and y [N, G O, o…] give [G O, C, k…]. */
export interface WeightGradient {
  readonly x: string
  readonly xShape: Shape
  readonly y: string
  readonly yShape: Shape
  readonly shape: Shape
  readonly geometry: ConvolutionGeometry
}

/**
 * What a gradient of weights sees of x along each spatial axis: `after`, the border that the last kernel position needs
 * behind x, and `reached`, how many positions a kernel of cotangents then has. Elements that no window reached count as
 * further positions, whose results are cut.
 */
export function windowReach(
  xShape: Shape,
  yShape: Shape,
  kernel: readonly number[],
  { strides, pads, dilations }: ConvolutionGeometry,
): { after: number[]; reached: number[] } {
  const apart = kernel.map((_, axis) => (yShape[axis + 2] - 1) * strides[axis])
  const after = kernel.map((size, axis) =>
    Math.max(0, apart[axis] + span(size, dilations[axis]) - xShape[axis + 2] - pads[axis][0]),
  )
  return { after, reached: kernel.map((_, axis) => xShape[axis + 2] + pads[axis][0] + after[axis] - apart[axis]) }
}

/** Keeps `kernel[axis]` entries, `steps[axis]` apart, of the axes after the first. */
export function takeTaps(
  to: Lowering,
  name: string,
  found: readonly number[],
  kernel: readonly number[],
  steps: readonly number[],
): string {
  const cut = kernel.map((_, axis) => axis).filter(axis => found[axis] !== kernel[axis])
  if (cut.length === 0) return name
  return to.emit('Slice', [
    name,
    to.ints(cut.map(() => 0)),
    to.ints(cut.map(axis => (kernel[axis] - 1) * steps[axis] + 1)),
    to.ints(cut.map(axis => axis + 1)),
    to.ints(cut.map(axis => steps[axis])),
  ])
}
