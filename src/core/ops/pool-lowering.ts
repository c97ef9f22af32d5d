import type { Lowering } from '../primitive.ts'
import type { Node } from '../tensor.ts'
import type { Pair, Window } from './window.ts'

const onnxPads = (pads: readonly Pair[]): number[] => [...pads.map(pair => pair[0]), ...pads.map(pair => pair[1])]

const windowAttributes = ({ kernel, strides, pads }: Window) => ({
  kernel_shape: { ints: kernel },
  strides: { ints: strides },
  pads: { ints: onnxPads(pads) },
})

const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1)

/**
 * The input of a pooling. ONNX Runtime merges a Pad of zeros into the pooling after it: wrong for maxima, whose own border is
 * minus infinity, and refused where the border is as wide as the window. A reshape between the two keeps them apart.
 */
function pooled(to: Lowering, x: string, { inputs: [{ node, shape }] }: Node<Window>): string {
  if (node.primitive.name !== 'pad') return x
  return to.emit('Reshape', [x, to.ints([-1, ...shape.slice(1)])])
}

const maxAttributes = (window: Window) => ({ ...windowAttributes(window), dilations: { ints: window.dilations } })

export const lowerMaxPool = (to: Lowering, [x]: readonly string[], node: Node<Window>): string =>
  to.emit('MaxPool', [pooled(to, x, node)], maxAttributes(node.attributes))

/** ONNX Runtime counts the places of the maxima over the whole tensor, batch and channels included. */
export const lowerWinners = (to: Lowering, [x]: readonly string[], node: Node<Window>): string =>
  to.emitMany('MaxPool', [pooled(to, x, node)], 2, maxAttributes(node.attributes))[1]

export const lowerAveragePool = (to: Lowering, [x]: readonly string[], node: Node<Window>): string =>
  to.emit('AveragePool', [pooled(to, x, node)], {
    ...windowAttributes(node.attributes),
    count_include_pad: { int: 1 },
  })

/**
 * Spreads each element evenly over its window: by repeating it where windows tile the input, by averaging again where they
 * move one element at a time, else as a transposed depthwise convolution.
 */
export function lowerAveragePoolGradient(
  to: Lowering,
  [ct]: readonly string[],
  node: Node<Window & { readonly size: readonly number[] }>,
): string {
  const { kernel, strides, pads, size } = node.attributes
  const [{ shape, dtype }] = node.inputs
  const [out] = node.outputs
  if (out.size === 0) return to.emit('Expand', [to.scalar(0, dtype), to.shape(out.shape)])
  const places = shape.slice(2)
  const tiles = kernel.every((k, axis) => strides[axis] === k && places[axis] * k === size[axis] && pads[axis][0] === 0)
  if (tiles) {
    const shares = to.emit('Mul', [ct, to.scalar(1 / product(kernel), dtype)])
    // Scales, not sizes, so that a symbolic batch needs no computing.
    const scales = to.constant(Float32Array.from([1, 1, ...kernel]), [kernel.length + 2], 'f32')
    return to.emit('Resize', [shares, '', scales], {
      mode: { string: 'nearest' },
      coordinate_transformation_mode: { string: 'asymmetric' },
      nearest_mode: { string: 'floor' },
    })
  }
  const mirrored = kernel.map((k, axis): Pair => [k - 1 - pads[axis][0], size[axis] - places[axis] + pads[axis][0]])
  const fits = mirrored.every((pair, axis) => Math.min(...pair) >= 0 && Math.max(...pair) < kernel[axis])
  if (fits && strides.every(stride => stride === 1))
    return to.emit('AveragePool', [ct], {
      ...windowAttributes({ ...node.attributes, pads: mirrored }),
      count_include_pad: { int: 1 },
    })
  const channels = shape[1]
  const weight = to.constant(
    new Float32Array(channels * product(kernel)).fill(1 / product(kernel)),
    [channels, 1, ...kernel],
    'f32',
  )
  const missing = size.map(
    (extent, axis) => extent - ((places[axis] - 1) * strides[axis] + kernel[axis] - pads[axis][0] - pads[axis][1]),
  )
  return to.emit('ConvTranspose', [ct, weight], {
    strides: { ints: strides },
    pads: { ints: onnxPads(pads) },
    output_padding: { ints: missing },
    group: { int: channels },
  })
}
