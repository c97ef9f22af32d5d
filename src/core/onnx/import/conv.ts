import { add, conv, convTranspose, deformConv, div, fold, mul, pad, reshape } from '../../ops/index.ts'
import { span } from '../../ops/window.ts'
import { formatShape, sizeOf } from '../../shape.ts'
import type { Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'
import { alongAxis, centred, exactProduct, requantize } from './quantize.ts'
import { autoPadOf, divided, slidingOf } from './window.ts'

function convolution(node: NodeReader): Tensor {
  const [x, weight] = [node.input(0), node.input(1)]
  const { stride, dilation, padding } = slidingOf(node, x.shape.slice(2), weight.shape.slice(2))
  return conv(x, weight, { stride, dilation, padding, groups: node.int('group', 1), bias: node.optional(2) })
}

/** The adjoint of a convolution; an output shape that is asked for decides the padding. */
function transposedConvolution(node: NodeReader): Tensor {
  const [x, weight] = [node.input(0), node.input(1)]
  const bias = node.optional(2)
  const spatial = x.shape.slice(2)
  const sliding = slidingOf(node, spatial, weight.shape.slice(2))
  const extra = node.ints(
    'output_padding',
    spatial.map(() => 0),
  )
  const { padding, after } = transposedPadding(node, spatial, sliding, extra)
  const options = { stride: sliding.stride, dilation: sliding.dilation, groups: node.int('group', 1) }
  if (padding.flat().every(width => width >= 0) && after.every((width, axis) => width < sliding.stride[axis]))
    return convTranspose(x, weight, { ...options, padding, outputPadding: after, bias })
  // Borders beyond what the operator itself can cut or add are cut or added afterwards, and the bias after them.
  const whole = convTranspose(x, weight, options)
  const shaped = pad(whole, [
    [0, 0],
    [0, 0],
    ...padding.map(([start, end], axis): [number, number] => [-start, after[axis] - end]),
  ])
  return bias ? add(shaped, reshape(bias, [bias.size, ...spatial.map(() => 1)])) : shaped
}

interface TransposedPadding {
  /** Elements cut from both ends. */
  readonly padding: readonly [number, number][]
  /** Elements added at the end. */
  readonly after: readonly number[]
}

function transposedPadding(
  node: NodeReader,
  spatial: readonly number[],
  { stride, kernel, dilation, padding }: ReturnType<typeof slidingOf>,
  extra: readonly number[],
): TransposedPadding {
  const auto = autoPadOf(node)
  const same = auto === 'SAME_UPPER' || auto === 'SAME_LOWER'
  const wanted = node.ints('output_shape') ?? (same ? spatial.map((size, axis) => size * stride[axis]) : undefined)
  if (!wanted) return { padding: padding.map(([start, end]) => [start, end]), after: extra }
  const sizes = wanted.slice(-spatial.length)
  if (sizes.length !== spatial.length || extra.length !== spatial.length)
    throw new Error(`an output shape of [${wanted}] does not fit ${spatial.length} spatial axes`)
  const totals = sizes.map(
    (size, axis) => (spatial[axis] - 1) * stride[axis] + span(kernel[axis], dilation[axis]) + extra[axis] - size,
  )
  return {
    padding: totals.map(total => divided(Math.max(total, 0), auto === 'SAME_UPPER')),
    after: totals.map((total, axis) => extra[axis] + Math.max(-total, 0)),
  }
}

/** Products summed for one output of a convolution. */
const terms = (weight: Tensor): number => sizeOf(weight.shape.slice(1))

/** Convolution of bytes, exact. The zero point of the kernel may differ from one output channel to the next. */
function integerConvolution(
  node: NodeReader,
  x: Tensor,
  xZero: Tensor | undefined,
  weight: Tensor,
  weightZero: Tensor | undefined,
): Tensor {
  const kernel = centred(weight, weightZero && alongAxis(weightZero, weight, 0))
  const { stride, dilation, padding } = slidingOf(node, x.shape.slice(2), weight.shape.slice(2))
  const input = centred(x, xZero && alongAxis(xZero, x, 1))
  return exactProduct(input, terms(weight), part =>
    conv(part, kernel, { stride, dilation, padding, groups: node.int('group', 1) }),
  )
}

function quantizedConvolution(node: NodeReader): Tensor {
  const [x, xScale, xZero, weight, weightScale, weightZero, yScale, yZero] = Array.from({ length: 8 }, (_, i) =>
    node.input(i),
  )
  const bias = node.optional(8)
  const sums = integerConvolution(node, x, xZero, weight, weightZero)
  const channels = sums.shape[1]
  if (bias && (bias.dtype !== 'i32' || bias.size !== channels))
    throw new Error(`the bias is ${bias.dtype}${formatShape(bias.shape)}, expected i32[${channels}]`)
  const biased = bias ? add(sums, alongAxis(bias, sums, 1)) : sums
  const scale = div(mul(reshape(xScale, []), alongAxis(weightScale, sums, 1)), reshape(yScale, []))
  return requantize(biased, scale, reshape(yZero, []))
}

/** Samples displaced by offsets and, when there is a mask, weighed by it; only two spatial axes. */
function deformedConvolution(node: NodeReader): Tensor {
  const [x, weight, offset] = [node.requireRank(0, 4), node.requireRank(1, 4), node.input(2)]
  const { stride, dilation, padding } = slidingOf(node, x.shape.slice(2), weight.shape.slice(2))
  const groups = node.int('group', 1)
  if (weight.shape[1] * groups !== x.shape[1])
    throw new Error(`${x.shape[1]} channels do not fit ${groups} groups of a kernel ${formatShape(weight.shape)}`)
  const offsetGroups = offset.shape[1] / (2 * sizeOf(weight.shape.slice(2)))
  if (offsetGroups !== node.int('offset_group', 1))
    throw new Error(`offsets ${formatShape(offset.shape)} are not those of ${node.int('offset_group', 1)} groups`)
  return deformConv(x, offset, weight, {
    stride: [stride[0], stride[1]],
    dilation: [dilation[0], dilation[1]],
    padding,
    bias: node.optional(3),
    mask: node.optional(4),
  })
}

/** Overlapping blocks added back into an image. */
function blocksToImage(node: NodeReader): Tensor {
  const [size, kernel] = [node.sizes(1), node.sizes(2)]
  const { stride, dilation, padding } = slidingOf(node, size, kernel)
  return fold(node.input(0), size, kernel, { stride, dilation, padding })
}

export const convReaders: OperatorReaders = {
  Col2Im: blocksToImage,
  Conv: convolution,
  ConvInteger: node => integerConvolution(node, node.input(0), node.optional(2), node.input(1), node.optional(3)),
  ConvTranspose: transposedConvolution,
  DeformConv: deformedConvolution,
  QLinearConv: quantizedConvolution,
}
