import type { Lowering } from '../primitive.ts'
import { type Shape, sizeOf } from '../shape.ts'
import { BLOCKED, isDepthwise, LARGEST_KERNEL, lift, padRows, roundUp, toBlocks, waste } from './conv-blocked.ts'
import { reshaped, transposed } from './conv-layout.ts'
import type { ConvolutionGeometry, Pair } from './window.ts'

/** A gradient with respect to the input of a strided convolution: y [N, O, o…] and w [O, C, k…] give [N, C, s…]. */
export interface InputGradient {
  readonly y: string
  readonly yShape: Shape
  readonly w: string
  readonly wShape: Shape
  readonly bias: string | undefined
  readonly geometry: ConvolutionGeometry
  readonly outShape: Shape
}

/**
 * Along one axis: every stride-th element of the output, from one of the first on, is a convolution at stride 1 with
 * every stride-th tap of the kernel, last tap first.
 */
interface Phase {
  readonly taps: readonly number[]
  readonly pad: Pair
}

/** More phases than this (those of a stride of 3 along two axes) leave too little work to each. */
const MOST_PHASES = 9

function phasesAlong(axis: number, { yShape, wShape, geometry, outShape }: InputGradient): Phase[] {
  const stride = geometry.strides[axis]
  const length = Math.ceil(outShape[axis + 2] / stride)
  return Array.from({ length: stride }, (_, r) => {
    const reach = r + geometry.pads[axis][0]
    const taps = Array.from({ length: wShape[axis + 2] }, (_, t) => t)
      .reverse()
      .filter(t => (reach - t) % stride === 0)
    const first = taps.length ? (reach - taps[0]) / stride : 0
    return { taps, pad: [-first, length + first + taps.length - 1 - yShape[axis + 2]] }
  })
}

/** The phases of each axis, or undefined where the blocked kernels cannot compute them or would be slower. */
export function blockedPhases(to: Lowering, work: InputGradient): Phase[][] | undefined {
  const { yShape, wShape, geometry } = work
  const block = to.channelBlock
  const [outChannels, channels, ...kernel] = wShape
  const axes = kernel.map((_, axis) => axis)
  if (!block || kernel.length > 2 || yShape[1] % 4 !== 0 || geometry.dilations.some(dilation => dilation > 1)) return
  if (sizeOf(geometry.strides) > MOST_PHASES) return
  if (!isDepthwise(wShape, geometry.groups)) {
    if (geometry.groups > 1 || sizeOf(wShape) > LARGEST_KERNEL) return
    if (channels < block || waste(outChannels, block) * waste(channels, block) > 1.25) return
  }
  const phases = axes.map(axis => phasesAlong(axis, work))
  const exist = phases.every(list => list.every(({ taps, pad }) => taps.length > 0 && pad[0] >= 0 && pad[1] >= 0))
  return exist ? phases : undefined
}

/** Computes every phase in blocks of channels and weaves them together before leaving the blocked layout. */
export function phasedInputGradient(to: Lowering, work: InputGradient, phases: readonly Phase[][]): string {
  const { y, yShape, wShape, bias, geometry, outShape } = work
  const block = to.channelBlock
  const rank = wShape.length - 2
  const depthwise = isDepthwise(wShape, geometry.groups)
  const channels = roundUp(outShape[1], block)
  const [batch] = yShape
  const image = toBlocks(to, rank === 1 ? reshaped(to, y, [batch, yShape[1], 1, yShape[2]]) : y)
  const [down, across] = lift(phases, rank, [{ taps: [0], pad: [0, 0] }] as Phase[])
  const [height, width] = [down, across].map((list, axis) =>
    Math.ceil(lift(outShape.slice(2), rank, 1)[axis] / list.length),
  )
  const select = tapSelector(to, work)
  const inputs = bias ? [padRows(to, bias, [outShape[1]], 0, channels)] : []
  const planes = (batch * channels) / block
  const rows = down.map(row => {
    const columns = across.map(column => {
      const weights = select(row.taps, column.taps)
      const phase = to.emit(
        'Conv',
        [image, weights, ...inputs],
        {
          kernel_shape: { ints: [row.taps.length, column.taps.length] },
          strides: { ints: [1, 1] },
          pads: { ints: [row.pad[0], column.pad[0], row.pad[1], column.pad[1]] },
          group: { int: depthwise ? channels : 1 },
        },
        BLOCKED,
      )
      return reshaped(to, phase, [planes * height * width, 1, block])
    })
    return reshaped(to, join(to, columns), [planes * height, 1, width * across.length * block])
  })
  const size = lift(outShape.slice(2), rank, 1)
  const woven = [height * down.length, width * across.length]
  let whole = reshaped(to, join(to, rows), [batch, channels, ...woven])
  whole = to.emit('ReorderOutput', [whole], { channels: { int: outShape[1] } }, BLOCKED)
  if (woven[0] !== size[0] || woven[1] !== size[1])
    whole = to.emit('Slice', [whole, to.ints([0, 0]), to.ints(size), to.ints([2, 3])])
  return rank === 1 ? reshaped(to, whole, outShape) : whole
}

const join = (to: Lowering, parts: readonly string[]): string =>
  parts.length === 1 ? parts[0] : to.emit('Concat', parts, { axis: { int: 1 } })

/** Blocked weights of the taps that lie in given rows and columns of the kernel. */
function tapSelector(to: Lowering, { w, wShape, geometry }: InputGradient) {
  const block = to.channelBlock
  const [outChannels, channels, ...kernel] = wShape
  const taps = sizeOf(kernel)
  const depthwise = isDepthwise(wShape, geometry.groups)
  const inner = depthwise ? 1 : roundUp(outChannels, block)
  const outer = roundUp(depthwise ? outChannels : channels, block)
  const first = depthwise
    ? padRows(to, transposed(to, reshaped(to, w, [outChannels, taps]), [1, 0]), [taps, outChannels], 1, outer)
    : padRows(
        to,
        padRows(
          to,
          transposed(to, reshaped(to, w, [outChannels, channels, taps]), [2, 0, 1]),
          [taps, outChannels, channels],
          1,
          inner,
        ),
        [taps, inner, channels],
        2,
        outer,
      )
  const width = kernel[kernel.length - 1]
  return (rows: readonly number[], columns: readonly number[]): string => {
    const chosen = rows.flatMap(row => columns.map(column => BigInt(row * width + column)))
    const count = chosen.length
    const taken = to.emit('Gather', [first, to.constant(BigInt64Array.from(chosen), [count], 'i64')], {
      axis: { int: 0 },
    })
    const blocks = depthwise
      ? transposed(to, reshaped(to, taken, [count, outer / block, block]), [1, 0, 2])
      : transposed(to, reshaped(to, taken, [count, inner / block, block, outer / block, block]), [3, 1, 0, 2, 4])
    return reshaped(to, blocks, [outer, inner, rows.length, columns.length])
  }
}
