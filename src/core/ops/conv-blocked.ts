import type { Lowering } from '../primitive.ts'
import { type Shape, sizeOf } from '../shape.ts'
import {
  type Convolution,
  onnxPads,
  reshaped,
  takeTaps,
  transposed,
  type WeightGradient,
  windowReach,
} from './conv-layout.ts'

/**
 * Convolutions in the layout that ONNX Runtime's CPU kernels are fastest in: [N, C/B, height, width, B], B channels side by
 * side ("NCHWc"). The runtime uses it by itself where weights are constants, which in a training step they never are.
 */
export const BLOCKED = 'com.microsoft.nchwc'

/** Weights (elements) up to which a kernel stays in the caches while it is applied to a row of the image. */
export const LARGEST_KERNEL = 100_000

/** Fewer products than this an output element are done before the layout has been changed. */
const FEWEST_PRODUCTS = 64

const reordered = new WeakMap<Lowering, Map<string, string>>()

/** [N, C, height, width] in blocks of channels. Once for each value: the runtime does not merge equal nodes of this domain. */
export function toBlocks(to: Lowering, name: string): string {
  let known = reordered.get(to)
  if (!known) {
    known = new Map()
    reordered.set(to, known)
  }
  let blocks = known.get(name)
  if (blocks === undefined) {
    blocks = to.emit('ReorderInput', [name], {}, BLOCKED)
    known.set(name, blocks)
  }
  return blocks
}

export const roundUp = (count: number, block: number): number => Math.ceil(count / block) * block
export const isDepthwise = (shape: Shape, groups: number): boolean =>
  groups > 1 && groups === shape[0] && shape[1] === 1

/** Work done for channels beyond the last whole block, which are zeros, as a factor. */
export const waste = (count: number, block: number): number => roundUp(count, block) / count

/** Whether the blocked form exists for this convolution, and is the faster one. */
export function blocksWell(to: Lowering, { xShape, kernel: { shape }, geometry }: Convolution): boolean {
  const block = to.channelBlock
  const [outChannels, channels, ...kernel] = shape
  if (!block || kernel.length > 2 || sizeOf(kernel) === 1) return false
  if (isDepthwise(shape, geometry.groups)) return xShape[1] % 4 === 0
  if (sizeOf(shape) > LARGEST_KERNEL) return false
  if (geometry.groups > 1) return channels % block === 0 && (outChannels / geometry.groups) % block === 0
  if (waste(outChannels, block) > 1.25) return false
  if (channels < block) return channels * sizeOf(kernel) >= FEWEST_PRODUCTS
  return channels % 4 === 0 && waste(channels, block) * waste(outChannels, block) <= 1.25
}

/** A 1-D shape or geometry read as 2-D with one row. */
export const lift = <T>(list: readonly T[], rank: number, one: T): readonly T[] => (rank === 1 ? [one, ...list] : list)

/** [rows, rest…] with zeros below, up to a multiple of the block. */
export function padRows(to: Lowering, name: string, shape: Shape, axis: number, count: number): string {
  if (shape[axis] === count) return name
  const before = shape.map(() => 0)
  return to.emit('Pad', [name, to.ints([...before, ...shape.map((dim, i) => (i === axis ? count - dim : 0))])])
}

/** Weights in the order of the blocked kernels: [out/B, in/B, taps, B in, B out], or [out/B, taps, B out] for depthwise ones. */
function blockedWeights(to: Lowering, { kernel, geometry, xShape }: Convolution): { name: string; shape: number[] } {
  const block = to.channelBlock
  const [outChannels, channels, ...sizes] = kernel.shape
  const taps = sizeOf(sizes)
  const out = roundUp(outChannels, block)
  const spatial = lift(sizes, sizes.length, 1)
  if (isDepthwise(kernel.shape, geometry.groups)) {
    const rows = padRows(to, reshaped(to, kernel.plain(), [outChannels, taps]), [outChannels, taps], 0, out)
    const blocks = transposed(to, reshaped(to, rows, [out / block, block, taps]), [0, 2, 1])
    return { name: reshaped(to, blocks, [out, 1, ...spatial]), shape: [out, 1] }
  }
  const whole = xShape[1] < block ? channels : roundUp(channels, block)
  const wide = padRows(to, kernel.outLast(), [channels, taps, outChannels], 0, whole)
  const rows = padRows(to, wide, [whole, taps, outChannels], 2, out)
  // An input of fewer channels than a block is read as it is: [out/B, in, taps, B out].
  const inner = whole < block ? 1 : block
  const cut = reshaped(to, rows, [whole / inner, inner, taps, out / block, block])
  return { name: reshaped(to, transposed(to, cut, [3, 0, 2, 1, 4]), [out, whole, ...spatial]), shape: [out, whole] }
}

export function blockedConvolution(to: Lowering, work: Convolution): string {
  const { x, xShape, kernel, bias, geometry, outShape } = work
  const block = to.channelBlock
  const rank = xShape.length - 2
  const weights = blockedWeights(to, work)
  const flat = rank === 1 ? reshaped(to, x, [xShape[0], xShape[1], 1, xShape[2]]) : x
  const direct = xShape[1] < block && !isDepthwise(kernel.shape, geometry.groups)
  const image = direct ? flat : toBlocks(to, flat)
  const inputs = [image, weights.name]
  if (bias) inputs.push(padRows(to, bias, [outShape[1]], 0, weights.shape[0]))
  const pads = lift(geometry.pads, rank, [0, 0])
  const y = to.emit(
    'Conv',
    inputs,
    {
      kernel_shape: { ints: lift(kernel.shape.slice(2), rank, 1) },
      strides: { ints: lift(geometry.strides, rank, 1) },
      dilations: { ints: lift(geometry.dilations, rank, 1) },
      pads: { ints: onnxPads(pads) },
      group: { int: isDepthwise(kernel.shape, geometry.groups) ? weights.shape[0] : geometry.groups },
    },
    BLOCKED,
  )
  const result = to.emit('ReorderOutput', [y], { channels: { int: outShape[1] } }, BLOCKED)
  return rank === 1 ? reshaped(to, result, outShape) : result
}

/** Whether the gradient of depthwise kernels can be had from the blocked depthwise convolution. */
export function blocksDepthwiseGradient(to: Lowering, { xShape, shape, geometry }: WeightGradient): boolean {
  const block = to.channelBlock
  return !!block && shape.length <= 4 && isDepthwise(shape, geometry.groups) && (xShape[0] * xShape[1]) % block === 0
}

/**
 * Each channel of each sample of x, convolved with the cotangent of its output as the kernel, gives that sample's share
 * of the gradient: one depthwise convolution over N C channels, strides and dilations exchanged, and a sum over the samples.
 */
export function blockedDepthwiseWeightGradient(to: Lowering, work: WeightGradient): string {
  const { xShape, yShape, shape, geometry } = work
  const block = to.channelBlock
  const rank = xShape.length - 2
  const [batch, channels] = xShape
  const strides = lift(geometry.strides, rank, 1)
  const dilations = lift(geometry.dilations, rank, 1)
  const pads = lift(geometry.pads, rank, [0, 0])
  const kernel = lift(shape.slice(2), rank, 1)
  const spatial = lift(xShape.slice(2), rank, 1)
  const places = lift(yShape.slice(2), rank, 1)
  const all = batch * channels
  // Whole blocks of channels are reordered sample by sample, as the convolution itself does: the runtime does it once for both.
  const reorder = (name: string, sizes: readonly number[], outer: Shape): string => {
    const image = [...(channels % block === 0 ? [batch, channels] : [1, all]), ...sizes]
    const flat = image.length === xShape.length && image[0] === batch ? name : reshaped(to, name, image)
    return reshaped(to, toBlocks(to, flat), [...outer, ...sizes])
  }
  const lifted = { strides, dilations, pads, groups: geometry.groups }
  const { after, reached } = windowReach([batch, all, ...spatial], [batch, all, ...places], kernel, lifted)
  const found = reached.map((count, axis) => Math.floor((count - 1) / dilations[axis]) + 1)
  const y = to.emit(
    'Conv',
    [reorder(work.x, spatial, [1, all]), reorder(work.y, places, [all, 1])],
    {
      kernel_shape: { ints: places },
      strides: { ints: dilations },
      dilations: { ints: strides },
      pads: { ints: [...pads.map(pair => pair[0]), ...after] },
      group: { int: all },
    },
    BLOCKED,
  )
  const shares = reshaped(to, to.emit('ReorderOutput', [y], { channels: { int: all } }, BLOCKED), [
    batch,
    channels,
    ...found,
  ])
  const summed = to.emit('ReduceSum', [shares, to.ints([0])], { keepdims: { int: 0 } })
  return reshaped(to, takeTaps(to, summed, found, kernel, [1, 1]), shape)
}
