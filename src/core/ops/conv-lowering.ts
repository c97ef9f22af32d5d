import type { Lowering, Spec } from '../primitive.ts'
import { isSymbolic, type Shape, sizeOf } from '../shape.ts'
import type { Node } from '../tensor.ts'
import {
  blockedConvolution,
  blockedDepthwiseWeightGradient,
  blocksDepthwiseGradient,
  blocksWell,
} from './conv-blocked.ts'
import { interleavedWeightGradient } from './conv-interleaved.ts'
import {
  type Convolution,
  flippedKernel,
  forwardKernel,
  onnxAttributes,
  reshaped,
  takeTaps,
  transposed,
  type WeightGradient,
  windowReach,
} from './conv-layout.ts'
import { blockedPhases, phasedInputGradient } from './conv-phases.ts'
import { type ConvolutionGeometry, type Pair, span } from './window.ts'

/** Whether ONNX Runtime's own CPU kernels will run the graph, for forms that are fast because of how those work. */
export const isTuned = (to: Lowering, { dtype }: Spec): boolean =>
  to.contributed && to.device === 'cpu' && dtype === 'f32'

const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1)
const some = (pads: readonly Pair[]): boolean => pads.some(([before, after]) => before !== 0 || after !== 0)

/** A tensor of zeros, plus the bias: what a convolution over an empty batch or with nothing to add gives. */
const nothing = (to: Lowering, { shape, dtype }: Spec): string =>
  to.emit('Expand', [to.scalar(0, dtype), to.shape(shape)])

/** See docs/decisions/0004-convolution-gradients.md for the measurements behind the choice of form. */
export function lowerConvolution(
  to: Lowering,
  [x, w, bias]: readonly string[],
  node: Node<ConvolutionGeometry>,
): string {
  const [{ shape: xShape }, { shape: wShape }] = node.inputs
  const [out] = node.outputs
  if (out.size === 0) return nothing(to, out)
  const kernel = forwardKernel(to, w, wShape)
  return convolve(to, { x, xShape, kernel, bias, geometry: node.attributes, outShape: out.shape }, isTuned(to, out))
}

function convolve(to: Lowering, work: Convolution, tuned: boolean): string {
  const { x, kernel, bias, geometry } = work
  if (tuned && blocksWell(to, work)) return blockedConvolution(to, work)
  if (tuned && gainsFromBatchInside(work)) return batchInside(to, work)
  return to.emit('Conv', bias ? [x, kernel.plain(), bias] : [x, kernel.plain()], onnxAttributes(geometry))
}

/** Weights (elements) from which images of fewer than `SMALL_IMAGE` positions are better taken together than one by one. */
const LARGE_KERNEL = 100_000
const SMALL_IMAGE = 400

/** The runtime multiplies image by image; small images leave too few columns for the many rows of a large kernel. */
function gainsFromBatchInside({ xShape, kernel, geometry, outShape }: Convolution): boolean {
  return (
    xShape[0] >= 8 &&
    geometry.groups === 1 &&
    geometry.strides[geometry.strides.length - 1] === 1 &&
    product(kernel.shape.slice(2)) > 1 &&
    sizeOf(kernel.shape) >= LARGE_KERNEL &&
    product(outShape.slice(2)) <= SMALL_IMAGE
  )
}

/**
 * One convolution over one image that holds the whole batch: [1, C, s…, last N], the samples of a column side by side, so
 * that a step of one column is a step of N elements.
 */
function batchInside(to: Lowering, { x, xShape, kernel, bias, geometry, outShape }: Convolution): string {
  const [batch, channels, ...spatial] = xShape
  const last = spatial.length - 1
  const widen = (sizes: readonly number[]): number[] => sizes.map((size, axis) => (axis === last ? size * batch : size))
  const axes = spatial.map((_, axis) => axis + 2)
  const image = reshaped(to, transposed(to, x, [1, ...axes, 0]), [1, channels, ...widen(spatial)])
  const pads = geometry.pads.map(
    ([before, after], axis): Pair => (axis === last ? [before * batch, after * batch] : [before, after]),
  )
  const attributes = onnxAttributes({ ...geometry, pads, dilations: widen(geometry.dilations) })
  const y = to.emit('Conv', bias ? [image, kernel.plain(), bias] : [image, kernel.plain()], attributes)
  const apart = reshaped(to, y, [outShape[1], ...outShape.slice(2), batch])
  return transposed(to, apart, [last + 2, 0, ...axes.map(axis => axis - 1)])
}

/** Input channels up to which the runtime's ConvTranspose beats a convolution with so few filters. */
const FEW_CHANNELS = 8

/**
 * At stride 1 a convolution with flipped kernels, its channels exchanged; at larger strides one such convolution for every
 * phase of the output, where the blocked layout makes these cheap; else ConvTranspose.
 */
export function lowerInputGradient(
  to: Lowering,
  [y, w, bias]: readonly string[],
  node: Node<ConvolutionGeometry>,
): string {
  const [{ shape: yShape }, { shape: wShape }] = node.inputs
  const [out] = node.outputs
  if (out.size === 0) return nothing(to, out)
  const { strides, pads, dilations, groups } = node.attributes
  const spans = wShape.slice(2).map((taps, axis) => span(taps, dilations[axis]))
  const lacking = spans.map(
    (extent, axis) => (yShape[axis + 2] - 1) * strides[axis] + extent - pads[axis][0] - pads[axis][1],
  )
  const mirrored = spans.map((extent, axis): Pair => {
    const before = extent - 1 - pads[axis][0]
    return [before, out.shape[axis + 2] + extent - 1 - yShape[axis + 2] - before]
  })
  const depthwise = groups === wShape[0] && wShape[1] === 1
  const flips = strides.every(stride => stride === 1) && mirrored.every(pair => Math.min(...pair) >= 0)
  if (flips && (depthwise || out.shape[1] > FEW_CHANNELS)) {
    const kernel = flippedKernel(to, w, wShape, groups)
    const geometry = { strides, pads: mirrored, dilations, groups }
    return convolve(to, { x: y, xShape: yShape, kernel, bias, geometry, outShape: out.shape }, isTuned(to, out))
  }
  if (isTuned(to, out)) {
    const work = { y, yShape, w, wShape, bias, geometry: { strides, pads, dilations, groups }, outShape: out.shape }
    const phases = blockedPhases(to, work)
    if (phases) return phasedInputGradient(to, work, phases)
  }
  return to.emit('ConvTranspose', bias ? [y, w, bias] : [y, w], {
    ...onnxAttributes(node.attributes),
    output_padding: { ints: lacking.map((size, axis) => out.shape[axis + 2] - size) },
  })
}

/** Patch rows (channels of a group times taps) up to which patches written out beat the interleaved convolution. */
const FEW_PATCH_ROWS = 64

export function lowerWeightGradient(to: Lowering, [x, y]: readonly string[], node: Node<ConvolutionGeometry>): string {
  const [{ shape: xShape }, { shape: yShape }] = node.inputs
  const [out] = node.outputs
  if (out.size === 0 || node.inputs[0].size === 0) return nothing(to, out)
  const work = { x, xShape, y, yShape, shape: out.shape, geometry: node.attributes }
  const tuned = isTuned(to, out) && !isSymbolic(xShape)
  if (isTuned(to, out) && cutsPatches(work)) return swappedWeightGradient(to, work)
  if (tuned && blocksDepthwiseGradient(to, work)) return blockedDepthwiseWeightGradient(to, work)
  const taps = product(out.shape.slice(2))
  if (tuned && taps > 1 && out.shape[1] * taps > FEW_PATCH_ROWS) return interleavedWeightGradient(to, work)
  return patchWeightGradient(to, work, isTuned(to, out))
}

/** Fewest taps for which the columns of a swapped convolution are many enough. */
const MANY_TAPS = 16

/** Whether windows of many taps over few channels lie side by side, as in a patch embedding. */
const cutsPatches = ({ shape, geometry: { groups, strides } }: WeightGradient): boolean =>
  groups === 1 &&
  shape[1] <= FEW_CHANNELS &&
  product(shape.slice(2)) >= MANY_TAPS &&
  strides.every((stride, axis) => stride >= shape[axis + 2])

/** A convolution of x [C, N, s…] with y [O, N, o…] as its kernels, strides and dilations exchanged: [C, O, k…]. */
function swappedWeightGradient(to: Lowering, { x, xShape, y, yShape, shape, geometry }: WeightGradient): string {
  const { strides, pads, dilations } = geometry
  const axes = strides.map((_, axis) => axis + 2)
  const reach = windowReach(xShape, yShape, shape.slice(2), geometry)
  const result = to.emit(
    'Conv',
    [transposed(to, x, [1, 0, ...axes]), transposed(to, y, [1, 0, ...axes])],
    onnxAttributes({
      strides: dilations,
      pads: pads.map(([before], axis): Pair => [before, reach.after[axis]]),
      dilations: strides,
      groups: 1,
    }),
  )
  const found = reach.reached.map((count, axis) => Math.floor((count - 1) / dilations[axis]) + 1)
  const rows = reshaped(to, result, [shape[1] * shape[0], ...found])
  const taken = takeTaps(
    to,
    rows,
    found,
    shape.slice(2),
    strides.map(() => 1),
  )
  return transposed(to, reshaped(to, taken, [shape[1], shape[0], ...shape.slice(2)]), [1, 0, ...axes])
}

/** Per sample and group: y [O, positions] times patches of x [C taps, positions] transposed; then the sum over samples. */
function patchWeightGradient(to: Lowering, work: WeightGradient, fused: boolean): string {
  const { x, xShape, y, yShape, shape, geometry } = work
  const { groups } = geometry
  const rows = shape[1] * product(shape.slice(2))
  const places = product(yShape.slice(2))
  const left = reshaped(to, y, [yShape[0], groups, shape[0] / groups, places])
  const right = reshaped(to, patches(to, x, xShape, work), [xShape[0], groups, rows, places])
  const products = fused
    ? to.emit('FusedMatMul', [left, right], { transB: { int: 1 } }, 'com.microsoft')
    : to.emit('MatMul', [left, transposed(to, right, [0, 1, 3, 2])])
  const summed = to.emit('ReduceSum', [products, to.ints([0])], { keepdims: { int: 0 } })
  return reshaped(to, summed, shape)
}

/** What each tap sees at each position, [N, channels taps, positions…]: a depthwise convolution with one-hot kernels. */
function patches(to: Lowering, x: string, xShape: Shape, { shape, geometry }: WeightGradient): string {
  const kernel = shape.slice(2)
  const taps = product(kernel)
  if (taps === 1 && !some(geometry.pads) && geometry.strides.every(stride => stride === 1)) return x
  const channels = xShape[1]
  const oneHot = new Float32Array(channels * taps * taps)
  for (let row = 0; row < channels * taps; row++) oneHot[row * taps + (row % taps)] = 1
  const weight = to.constant(oneHot, [channels * taps, 1, ...kernel], 'f32')
  return to.emit('Conv', [x, weight], onnxAttributes({ ...geometry, groups: channels }))
}
