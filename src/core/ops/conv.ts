import { isFloat } from '../dtype.ts'
import type { Primitive, Reference, Spec } from '../primitive.ts'
import { formatShape, type Shape, sizeOf } from '../shape.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor } from '../tensor.ts'
import { lowerConvolution, lowerInputGradient, lowerWeightGradient } from './conv-lowering.ts'
import { sum } from './reduce.ts'
import {
  type ConvolutionGeometry,
  type Padding,
  type Pair,
  type PerAxis,
  paddingPairs,
  perAxis,
  slide,
  span,
  tapsOf,
  type Window,
} from './window.ts'

/** The adjoints also need to know how large what they compute is: strides leave that open. */
interface AdjointGeometry extends ConvolutionGeometry {
  readonly size: readonly number[]
}

const opName = (shape: Shape): string => `conv${shape.length - 2}d`

const windowOf = (kernel: readonly number[], { strides, pads, dilations }: ConvolutionGeometry): Window => ({
  kernel,
  strides,
  pads,
  dilations,
})

function checkOperands(op: string, x: Spec, weight: Spec): void {
  if (!isFloat(x.dtype) || x.dtype !== weight.dtype)
    throw new Error(`${op}: expected floating-point tensors of one dtype, got ${x.dtype} and ${weight.dtype}`)
  const rank = x.shape.length - 2
  if (rank < 1 || rank > 3)
    throw new Error(
      `${op}: expected an input [batch, channels, spatial…] with 1 to 3 spatial axes, got ${formatShape(x.shape)}`,
    )
  if (weight.shape.length !== x.shape.length || weight.shape.some(dim => dim < 1))
    throw new Error(`${op}: weight ${formatShape(weight.shape)} does not fit an input of ${formatShape(x.shape)}`)
}

/** Checks that channels meet: `inner` of the input and `outer` of the output, each divided into groups. */
function checkChannels(op: string, channels: number, weight: Shape, groups: number): void {
  if (!Number.isInteger(groups) || groups < 1)
    throw new Error(`${op}: groups must be a whole number of at least 1, got ${groups}`)
  if (channels % groups !== 0) throw new Error(`${op}: ${channels} input channels do not divide into ${groups} groups`)
  if (weight[0] % groups !== 0)
    throw new Error(`${op}: ${weight[0]} output channels do not divide into ${groups} groups (weight [${weight}])`)
  if (weight[1] * groups !== channels)
    throw new Error(
      `${op}: input has ${channels} channels but the kernel expects ${weight[1] * groups} (weight [${weight}]${groups > 1 ? `, ${groups} groups` : ''})`,
    )
}

function checkBias(op: string, bias: Spec | undefined, channels: number, dtype: Spec['dtype']): void {
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== channels || bias.dtype !== dtype))
    throw new Error(
      `${op}: the bias must be ${dtype}[${channels}], one number an output channel, got ${bias.dtype}${formatShape(bias.shape)}`,
    )
}

/** Cotangent of a bias: that of the output, summed over everything but its channels. */
const biasCotangent = (ct: Tensor): Tensor =>
  sum(
    ct,
    ct.shape.map((_, axis) => axis).filter(axis => axis !== 1),
  )

/**
 * Walks over every product that the three convolutions add up, each of which reads two of x, w and y and adds to the third.
 * Shapes: x [N, groups C, s…], w [groups O, C, k…], y [N, groups O, o…].
 */
function forEachProduct(
  x: Shape,
  w: Shape,
  y: Shape,
  geometry: ConvolutionGeometry,
  visit: (x: number, w: number, y: number) => void,
): void {
  const { input, output, tap } = tapsOf(x.slice(2), y.slice(2), windowOf(w.slice(2), geometry))
  const inputs = sizeOf(x.slice(2))
  const outputs = sizeOf(y.slice(2))
  const taps = sizeOf(w.slice(2))
  const [outChannels, perGroup] = w
  const outPerGroup = outChannels / geometry.groups
  for (let n = 0; n < x[0]; n++)
    for (let o = 0; o < outChannels; o++)
      for (let c = 0; c < perGroup; c++) {
        const xBase = (n * x[1] + Math.floor(o / outPerGroup) * perGroup + c) * inputs
        const wBase = (o * perGroup + c) * taps
        const yBase = (n * outChannels + o) * outputs
        for (let i = 0; i < input.length; i++) visit(xBase + input[i], wBase + tap[i], yBase + output[i])
      }
}

/** An output filled with its channels' biases, for the products to be added to. */
function startingFrom(bias: Reference | undefined, shape: Shape): Float64Array {
  const result = new Float64Array(sizeOf(shape))
  if (!bias) return result
  const inner = sizeOf(shape.slice(2))
  for (let i = 0; i < result.length; i++) result[i] = bias.data[Math.floor(i / inner) % shape[1]]
  return result
}

const convPrimitive: Primitive<ConvolutionGeometry> = {
  name: 'conv',
  shape: ([x, weight, bias], geometry) => {
    const op = opName(x.shape)
    checkOperands(op, x, weight)
    checkChannels(op, x.shape[1], weight.shape, geometry.groups)
    checkBias(op, bias, weight.shape[0], x.dtype)
    const spatial = slide(op, x.shape, windowOf(weight.shape.slice(2), geometry))
    return { shape: [x.shape[0], weight.shape[0], ...spatial], dtype: x.dtype }
  },
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [x, weight, bias] = node.inputs
    const { strides, pads, dilations, groups } = node.attributes
    const geometry = { strides, pads, dilations, groups }
    return [
      apply(inputGradientPrimitive, [ct, weight], { ...geometry, size: x.shape.slice(2) }),
      apply(weightGradientPrimitive, [x, ct], { ...geometry, size: weight.shape.slice(2) }),
      bias && biasCotangent(ct),
    ]
  },
  lower: lowerConvolution,
  evaluate: ([x, w, bias], geometry, [out]) => {
    const result = startingFrom(bias, out.shape)
    forEachProduct(x.shape, w.shape, out.shape, geometry, (i, k, o) => {
      result[o] += x.data[i] * w.data[k]
    })
    return result
  },
}

/** Checks that `out` [N, groups O, o…] is what a convolution makes of an input with spatial sizes `size`. */
function checkAdjoint(
  op: string,
  out: Shape,
  size: readonly number[],
  kernel: Shape,
  geometry: ConvolutionGeometry,
): void {
  const expected = slide(op, [out[0], 1, ...size], windowOf(kernel, geometry))
  if (expected.some((count, axis) => count !== out[axis + 2]))
    throw new Error(
      `${op}: a kernel of [${kernel}] turns spatial sizes [${size}] into [${expected}], not into those of ${formatShape(out)}`,
    )
}

const inputGradientPrimitive: Primitive<AdjointGeometry> = {
  name: 'convInputGradient',
  shape: ([y, weight, bias], { size, ...geometry }) => {
    const op = opName(y.shape).replace('conv', 'convTranspose')
    checkOperands(op, y, weight)
    const channels = weight.shape[1] * geometry.groups
    if (y.shape[1] !== weight.shape[0])
      throw new Error(
        `${op}: input has ${y.shape[1]} channels but the kernel expects ${weight.shape[0]} (weight [${weight.shape}])`,
      )
    checkChannels(op, channels, weight.shape, geometry.groups)
    checkBias(op, bias, channels, y.dtype)
    checkAdjoint(op, y.shape, size, weight.shape.slice(2), geometry)
    return { shape: [y.shape[0], channels, ...size], dtype: y.dtype }
  },
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [y, weight, bias] = node.inputs
    const { size: _, ...geometry } = node.attributes
    return [
      apply(convPrimitive, [ct, weight], geometry),
      apply(weightGradientPrimitive, [ct, y], { ...geometry, size: weight.shape.slice(2) }),
      bias && biasCotangent(ct),
    ]
  },
  lower: lowerInputGradient,
  evaluate: ([y, w, bias], geometry, [out]) => {
    const result = startingFrom(bias, out.shape)
    forEachProduct(out.shape, w.shape, y.shape, geometry, (i, k, o) => {
      result[i] += y.data[o] * w.data[k]
    })
    return result
  },
}

const weightGradientPrimitive: Primitive<AdjointGeometry> = {
  name: 'convWeightGradient',
  shape: ([x, y], { size, ...geometry }) => {
    const op = `${opName(x.shape)} weight gradient`
    const { groups } = geometry
    if (x.shape.length !== y.shape.length || x.shape[0] !== y.shape[0] || x.dtype !== y.dtype)
      throw new Error(
        `${op}: input ${formatShape(x.shape)} and cotangent ${formatShape(y.shape)} do not belong together`,
      )
    const weight = [y.shape[1], x.shape[1] / groups, ...size]
    checkOperands(op, x, { shape: weight, dtype: y.dtype })
    checkChannels(op, x.shape[1], weight, groups)
    checkAdjoint(op, y.shape, x.shape.slice(2), size, geometry)
    return { shape: weight, dtype: x.dtype }
  },
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [x, y] = node.inputs
    const { size: _, ...geometry } = node.attributes
    return [
      apply(inputGradientPrimitive, [y, ct], { ...geometry, size: x.shape.slice(2) }),
      apply(convPrimitive, [x, ct], geometry),
    ]
  },
  lower: lowerWeightGradient,
  evaluate: ([x, y], geometry, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    forEachProduct(x.shape, out.shape, y.shape, geometry, (i, k, o) => {
      result[k] += x.data[i] * y.data[o]
    })
    return result
  },
}

export interface ConvOptions {
  /** One number an output channel, added everywhere. */
  readonly bias?: TensorLike
  /** Step of the kernel, in elements; default 1. */
  readonly stride?: PerAxis
  /**
   * Zeros around the input, in elements; default 0. `'valid'` is 0; `'same'` pads so that the output has
   * ceil(size / stride) positions, the odd zero going after the input (as in TensorFlow; PyTorch's `'same'` for stride 1).
   */
  readonly padding?: Padding | 'same' | 'valid'
  /** Distance between the taps of the kernel, in elements; default 1. */
  readonly dilation?: PerAxis
  /** Channels are divided into this many groups that do not see each other; default 1. As many as channels: depthwise. */
  readonly groups?: number
}

function samePadding(spatial: Shape, kernel: Shape, strides: readonly number[], dilations: readonly number[]): Pair[] {
  return spatial.map((size, axis): Pair => {
    const count = Math.ceil(size / strides[axis])
    const total = Math.max(0, (count - 1) * strides[axis] + span(kernel[axis], dilations[axis]) - size)
    return [Math.floor(total / 2), Math.ceil(total / 2)]
  })
}

/**
 * Convolution over 1 to 3 spatial axes (cross-correlation, as in every deep-learning library):
 * y[n,o,p] = bias[o] + sum over c, k of x[n,c, p stride + k dilation - padding] weight[o,c,k].
 *
 * @param x [batch, channels, spatial…]
 * @param weight [outChannels, channels / groups, kernel…]
 * @returns [batch, outChannels, floor((size + padding - dilation (kernel-1) - 1) / stride) + 1 …]
 * @throws when channels and kernel do not meet, do not divide into groups, or the kernel is larger than the padded input
 */
export function conv(x: TensorLike, weight: TensorLike, options: ConvOptions = {}): Tensor {
  const input = asTensor(x)
  const kernel = asTensor(weight, input.dtype)
  const op = opName(input.shape)
  checkOperands(op, input, kernel)
  const rank = input.rank - 2
  const strides = perAxis(op, 'stride', options.stride ?? 1, rank)
  const dilations = perAxis(op, 'dilation', options.dilation ?? 1, rank)
  const { padding = 0, groups = 1, bias } = options
  const pads =
    padding === 'same'
      ? samePadding(input.shape.slice(2), kernel.shape.slice(2), strides, dilations)
      : paddingPairs(op, padding === 'valid' ? 0 : padding, rank)
  const operands = bias === undefined ? [input, kernel] : [input, kernel, asTensor(bias, input.dtype)]
  return apply(convPrimitive, operands, { strides, pads, dilations, groups })
}

export interface ConvTransposeOptions extends Omit<ConvOptions, 'padding'> {
  /** Elements cut from each side of the output, in elements; default 0: what the convolution this is the adjoint of pads. */
  readonly padding?: Padding
  /** Elements added after the output's end, smaller than the stride; default 0. */
  readonly outputPadding?: PerAxis
}

/**
 * Transposed convolution: the adjoint of {@link conv} with the same options (Dumoulin & Visin 2016, section 4),
 * <conv(a, w), b> = <a, convTranspose(b, w)>.
 *
 * @param x [batch, channels, spatial…]
 * @param weight [channels, outChannels / groups, kernel…]
 * @returns [batch, outChannels, (size-1) stride - padding + dilation (kernel-1) + 1 + outputPadding …]
 * @throws when channels and kernel do not meet or do not divide into groups, outputPadding is not smaller than the stride,
 *   or an output size would be below 1
 */
export function convTranspose(x: TensorLike, weight: TensorLike, options: ConvTransposeOptions = {}): Tensor {
  const input = asTensor(x)
  const kernel = asTensor(weight, input.dtype)
  const op = opName(input.shape).replace('conv', 'convTranspose')
  checkOperands(op, input, kernel)
  const rank = input.rank - 2
  const strides = perAxis(op, 'stride', options.stride ?? 1, rank)
  const dilations = perAxis(op, 'dilation', options.dilation ?? 1, rank)
  const pads = paddingPairs(op, options.padding ?? 0, rank)
  const extra = perAxis(op, 'outputPadding', options.outputPadding ?? 0, rank, 0)
  const size = strides.map((stride, axis) => {
    if (extra[axis] >= stride)
      throw new Error(`${op}: outputPadding ${extra[axis]} must be smaller than the stride ${stride}`)
    const whole = (input.shape[axis + 2] - 1) * stride + span(kernel.shape[axis + 2], dilations[axis])
    const cut = whole - pads[axis][0] - pads[axis][1] + extra[axis]
    if (cut < 1)
      throw new Error(
        `${op}: the output would have size ${cut} along axis ${axis + 2} (input ${formatShape(input.shape)}, padding [${pads[axis]}])`,
      )
    return cut
  })
  const operands = options.bias === undefined ? [input, kernel] : [input, kernel, asTensor(options.bias, input.dtype)]
  return apply(inputGradientPrimitive, operands, { strides, pads, dilations, groups: options.groups ?? 1, size })
}
