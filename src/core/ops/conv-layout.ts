import type { Lowering } from '../primitive.ts'
import { type Shape, sizeOf } from '../shape.ts'
import type { ConvolutionGeometry } from './window.ts'

export const transposed = (to: Lowering, name: string, permutation: readonly number[]): string =>
  permutation.every((axis, i) => axis === i) ? name : to.emit('Transpose', [name], { perm: { ints: permutation } })

/** One symbolic size is left to Reshape to work out. No size may be 0. */
export const reshaped = (to: Lowering, name: string, shape: Shape): string =>
  to.emit('Reshape', [name, to.ints(shape.map(dim => (dim < 0 ? -1 : dim)))])

/** The weights of a convolution, in the order that its form asks for. */
export interface Kernel {
  /** [outChannels, channels / groups, kernel…] */
  readonly shape: Shape
  /** The weights in the order of `shape`. */
  plain(): string
  /** The weights as [taps, channels / groups, outChannels]: the order from which blocks of channels are cut fastest. */
  tapsFirst(): string
}

/** Weights as they are. */
export function forwardKernel(to: Lowering, weight: string, shape: Shape): Kernel {
  const [outChannels, channels, ...kernel] = shape
  return {
    shape,
    plain: () => weight,
    tapsFirst: () => {
      const rows = reshaped(to, weight, [outChannels, channels, sizeOf(kernel)])
      // In two steps, each of which the runtime does by whole rows, instead of one that it does element by element.
      return transposed(to, transposed(to, rows, [1, 0, 2]), [2, 0, 1])
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
    tapsFirst: () => {
      const rows = reshaped(to, weight, [groups, perGroup, channels, taps])
      const first = reshaped(to, transposed(to, rows, [3, 1, 0, 2]), [taps, perGroup, groups * channels])
      return taps === 1
        ? first
        : to.emit('Slice', [first, to.ints([-1]), to.ints([-taps - 1]), to.ints([0]), to.ints([-1])])
    },
  }
}

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
