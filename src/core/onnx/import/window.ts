import { span } from '../../ops/window.ts'
import { formatShape, type Shape } from '../../shape.ts'
import type { NodeReader } from './node-reader.ts'

/** How convolutions and poolings slide, as their attributes say. One entry a spatial axis. */
export interface Sliding {
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
  readonly dilation: readonly number[]
  readonly padding: readonly (readonly [number, number])[]
}

function perAxis(node: NodeReader, name: string, rank: number, fallback: number): number[] {
  const list = node.ints(name, new Array<number>(rank).fill(fallback))
  if (list.length !== rank) throw new Error(`${name} [${list}] needs one entry for each of ${rank} axes`)
  return list
}

/** `pads` as pairs: all starts come first in ONNX, then all ends. */
function explicitPads(node: NodeReader, rank: number): [number, number][] {
  const pads = node.ints('pads', new Array<number>(2 * rank).fill(0))
  if (pads.length !== 2 * rank) throw new Error(`pads [${pads}] needs two entries for each of ${rank} axes`)
  return Array.from({ length: rank }, (_, axis): [number, number] => [pads[axis], pads[rank + axis]])
}

export type AutoPad = 'NOTSET' | 'VALID' | 'SAME_UPPER' | 'SAME_LOWER'

export const autoPadOf = (node: NodeReader): AutoPad =>
  node.choice<AutoPad>('auto_pad', 'NOTSET', ['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'])

/** Divides a border over both sides, the odd element going after the input (upper) or before it (lower). */
export function divided(total: number, upper: boolean): [number, number] {
  const less = Math.floor(total / 2)
  return upper ? [less, total - less] : [total - less, less]
}

/**
 * Reads strides, dilations and padding.
 * @param spatial sizes of the input's spatial axes
 * @param kernel sizes of the kernel, when the node's operand tells them
 */
export function slidingOf(node: NodeReader, spatial: Shape, kernel?: readonly number[]): Sliding {
  const rank = spatial.length
  const stated = node.ints('kernel_shape', kernel ?? [])
  if (stated.length !== rank || (kernel && String(stated) !== String(kernel)))
    throw new Error(
      `kernel_shape [${stated}] does not fit ${kernel ? `a kernel of [${kernel}]` : `${rank} spatial axes`}`,
    )
  const stride = perAxis(node, 'strides', rank, 1)
  const dilation = perAxis(node, 'dilations', rank, 1)
  if ([...stated, ...stride, ...dilation].some(value => value < 1))
    throw new Error(`kernel [${stated}], strides [${stride}] and dilations [${dilation}] must be at least 1`)
  const auto = autoPadOf(node)
  const padding = spatial.map((size, axis): [number, number] => {
    if (auto === 'NOTSET') return explicitPads(node, rank)[axis]
    if (auto === 'VALID') return [0, 0]
    if (size < 0) throw new Error(`auto_pad ${auto} needs the sizes of ${formatShape(spatial)}`)
    const count = Math.ceil(size / stride[axis])
    const total = Math.max(0, (count - 1) * stride[axis] + span(stated[axis], dilation[axis]) - size)
    return divided(total, auto === 'SAME_UPPER')
  })
  return { kernel: stated, stride, dilation, padding }
}
