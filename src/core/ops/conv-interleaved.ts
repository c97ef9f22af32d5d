import type { Lowering } from '../primitive.ts'
import { sizeOf } from '../shape.ts'
import { LARGEST_KERNEL, toBlocks } from './conv-blocked.ts'
import { onnxAttributes, reshaped, takeTaps, transposed, type WeightGradient, windowReach } from './conv-layout.ts'
import type { Pair } from './window.ts'

/** x as images whose rows hold several channels side by side, column by column. */
interface Interleaved {
  /** [images, samples (and groups), s…, last width] */
  readonly name: string
  readonly images: number
  /** Channels side by side. */
  readonly width: number
  /** Samples whose products are kept apart and summed afterwards: all of them, or 1 when they make one long product. */
  readonly samples: number
}

/** Output positions from which samples are multiplied one by one and summed, rather than in one long product. */
const LONG_ROWS = 512
const LONG_BLOCKED_ROWS = 256

/** All channels of a group side by side, in one image. */
function allChannels(to: Lowering, { x, xShape, yShape, shape, geometry: { groups } }: WeightGradient): Interleaved {
  const [batch, , ...spatial] = xShape
  const width = shape[1]
  const axes = spatial.map((_, axis) => axis)
  const last = spatial.length - 1
  const samples = sizeOf(yShape.slice(2)) >= LONG_ROWS ? batch : 1
  const apart = reshaped(to, x, [batch * groups, width, ...spatial])
  // Channels last within each group, in a step that the runtime does by tiles; then, for one long product, groups first.
  let image = transposed(to, apart, [0, ...axes.map(axis => axis + 2), 1])
  if (samples === 1 && groups > 1)
    image = transposed(to, reshaped(to, image, [batch, groups, ...spatial, width]), [
      1,
      0,
      ...axes.map(axis => axis + 2),
      last + 3,
    ])
  const sizes = spatial.map((size, axis) => (axis === last ? size * width : size))
  return { name: reshaped(to, image, [1, batch * groups, ...sizes]), images: 1, width, samples }
}

/** Blocks of channels side by side, an image a block: what the blocked convolution itself reads, so it is reordered once. */
function blocksOfChannels(to: Lowering, { x, xShape, yShape }: WeightGradient): Interleaved {
  const [batch, channels, ...spatial] = xShape
  const width = to.channelBlock
  const images = channels / width
  const flat = spatial.length === 1 ? reshaped(to, x, [batch, channels, 1, ...spatial]) : x
  const blocks = toBlocks(to, flat)
  const sizes = spatial.map((size, axis) => (axis === spatial.length - 1 ? size * width : size))
  const apart = reshaped(to, blocks, [batch, images, ...sizes])
  const name = transposed(to, apart, [1, 0, ...sizes.map((_, axis) => axis + 2)])
  return { name, images, width, samples: sizeOf(yShape.slice(2)) >= LONG_BLOCKED_ROWS ? batch : 1 }
}

const readsBlocks = (to: Lowering, { xShape, shape, geometry }: WeightGradient): boolean =>
  to.channelBlock > 0 &&
  geometry.groups === 1 &&
  shape.length <= 4 &&
  xShape[1] % to.channelBlock === 0 &&
  sizeOf(shape) <= LARGEST_KERNEL

/**
 * A convolution over images that hold the channels of x between their columns, [N, s…, last C], with the cotangents of the
 * output as its kernels, [O, N, o…], a step of one column being a step of C elements. What comes out is [O, k…, last C]:
 * the gradient, with no position computed in vain. The runtime's patches are then runs of neighbouring elements.
 */
export function interleavedWeightGradient(to: Lowering, work: WeightGradient): string {
  const { xShape, y, yShape, shape, geometry } = work
  const { strides, pads, dilations, groups } = geometry
  const [outChannels, , ...kernel] = shape
  const [batch] = xShape
  const last = kernel.length - 1
  const axes = kernel.map((_, axis) => axis)
  const { name, images, width, samples } = readsBlocks(to, work) ? blocksOfChannels(to, work) : allChannels(to, work)
  const cotangents =
    samples === 1
      ? transposed(to, y, [1, 0, ...axes.map(axis => axis + 2)])
      : reshaped(to, y, [batch * outChannels, 1, ...yShape.slice(2)])
  const { after, reached } = windowReach(xShape, yShape, kernel, geometry)
  // Along the last axis a step of `dilation` columns would skip channels too, so it is taken after the convolution.
  const steps = dilations.map((dilation, axis) => (axis === last ? 1 : dilation))
  const found = reached.map((count, axis) => Math.floor((count - 1) / steps[axis]) + 1)
  const widen = (axis: number, count: number): number => (axis === last ? count * width : count)
  const result = to.emit(
    'Conv',
    [name, cotangents],
    onnxAttributes({
      strides: steps,
      pads: axes.map((axis): Pair => [widen(axis, pads[axis][0]), widen(axis, after[axis])]),
      dilations: axes.map(axis => widen(axis, strides[axis])),
      groups: groups * samples,
    }),
  )
  let gradient = result
  if (samples > 1) {
    const shares = reshaped(to, result, [images, samples, outChannels * sizeOf(found) * width])
    gradient = to.emit('ReduceSum', [shares, to.ints([1])], { keepdims: { int: 0 } })
  }
  const apart = reshaped(to, gradient, [images * outChannels, ...found, width])
  const taken = takeTaps(
    to,
    apart,
    found,
    kernel,
    dilations.map((dilation, axis) => dilation / steps[axis]),
  )
  const rows = reshaped(to, taken, [images, outChannels, sizeOf(kernel), width])
  const ordered =
    images === 1
      ? transposed(to, reshaped(to, rows, [outChannels, sizeOf(kernel), width]), [0, 2, 1])
      : transposed(to, rows, [1, 0, 3, 2])
  return reshaped(to, ordered, shape)
}
