import type { Lowering, Primitive } from '../primitive.ts'
import { sizeOf } from '../shape.ts'
import { apply, type Node, placeholder, substitute, type Tensor } from '../tensor.ts'
import { capturesOf, carriesOf, type ScanAttributes, slicesOf } from './scan-primitive.ts'

/** Slice number `index` (i64 scalar) along an axis, inside a loop. Inputs: sequence, index. */
const stepSlice: Primitive<{ readonly axis: number }> = {
  name: 'stepSlice',
  shape: ([x], { axis }) => ({ shape: x.shape.filter((_, i) => i !== axis), dtype: x.dtype }),
  lower: (to, inputs, node) => to.emit('Gather', inputs, { axis: { int: node.attributes.axis } }),
  evaluate: () => {
    throw new Error('stepSlice exists in lowered loops only')
  },
}

/** Slices of fewer contiguous elements than this are cheaper to gather all at once, by a transpose before the loop. */
const CONTIGUOUS = 16

type Way = 'view' | 'gather' | 'transpose'

function wayOf({ shape }: Tensor, axis: number): Way {
  if (axis === 0) return 'view'
  const contiguous = Math.abs(sizeOf(shape.slice(axis + 1)))
  return contiguous >= CONTIGUOUS ? 'gather' : 'transpose'
}

/**
 * One ONNX Scan. A sequence that is walked along its first axis is read in place. Along another axis Scan would transpose
 * the whole sequence first; picking each slice when its turn comes reads it once, from the cache (docs/decisions/0005).
 */
export function lowerScan(to: Lowering, names: readonly string[], node: Node<ScanAttributes>): string[] {
  const { attributes } = node
  const { body, length, reverse, axes } = attributes
  const sequences = slicesOf(node.inputs, attributes)
  const sequenceNames = slicesOf(names, attributes)
  const slices = slicesOf(body.inputs, attributes)
  const ways = sequences.map((sequence, s) => wayOf(sequence, axes[s]))
  const captures: [Tensor, string][] = capturesOf(body.inputs, attributes).map((t, i) => [
    t,
    capturesOf(names, attributes)[i],
  ])
  const scanned: { input: Tensor; name: string; axis: number }[] = []
  const picked: Tensor[] = []
  const index = placeholder('index', [], 'i64')
  slices.forEach((slice, s) => {
    if (ways[s] !== 'gather') {
      scanned.push({ input: slice, name: sequenceNames[s], axis: axes[s] })
      return
    }
    const whole = placeholder(`sequence${s}`, sequences[s].shape, sequences[s].dtype)
    captures.push([whole, sequenceNames[s]])
    picked.push(apply(stepSlice, [whole, index], { axis: axes[s] }))
  })
  // Scan has to walk along something, if only along the numbers of the steps.
  if (picked.length || scanned.length === 0)
    scanned.unshift({ input: index, name: to.ints(Array.from({ length }, (_, i) => i)), axis: 0 })
  const outputs = substitute(
    body.outputs,
    slices.filter((_, s) => ways[s] === 'gather'),
    picked,
  )
  const direction = Number(reverse)
  const stacks = outputs.length - attributes.carries
  return to.emitMany('Scan', [...carriesOf(names, attributes), ...scanned.map(({ name }) => name)], outputs.length, {
    body: {
      graph: {
        inputs: [...carriesOf(body.inputs, attributes), ...scanned.map(({ input }) => input)],
        outputs,
        captures,
      },
    },
    num_scan_inputs: { int: scanned.length },
    scan_input_axes: { ints: scanned.map(({ axis }) => axis) },
    scan_input_directions: { ints: scanned.map(() => direction) },
    ...(stacks ? { scan_output_directions: { ints: new Array<number>(stacks).fill(direction) } } : {}),
  })
}
