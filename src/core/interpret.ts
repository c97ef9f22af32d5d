import { type HostData, toNumbers } from './dtype.ts'
import type { Reference } from './primitive.ts'
import { bindBatch, formatShape, sizeOf } from './shape.ts'
import { type Tensor, topologicalOrder } from './tensor.ts'

/** Values for the leaves of a graph: placeholders must have one, variables and constants may be overridden. */
export type Bindings = ReadonlyMap<Tensor, ArrayLike<number> | HostData>

function bind(leaf: Tensor, value: ArrayLike<number> | HostData): Reference {
  const data =
    ArrayBuffer.isView(value) && !(value instanceof Float64Array)
      ? toNumbers(leaf.dtype, value as HostData)
      : Float64Array.from(value as ArrayLike<number>)
  const batch = leaf.shape.some(dim => dim < 0) ? data.length / Math.abs(sizeOf(leaf.shape)) : undefined
  const shape = bindBatch(leaf.shape, batch)
  if (sizeOf(shape) !== data.length)
    throw new Error(`interpret: ${data.length} values do not fill ${formatShape(leaf.shape)}`)
  return { shape, dtype: leaf.dtype, data }
}

/**
 * Evaluates tensors in float64 with the primitives' reference faces: slow, exact, free of any runtime.
 * @returns one {@link Reference} for each output
 */
export function interpret(outputs: readonly Tensor[], bindings: Bindings = new Map()): Reference[] {
  const values = new Map<Tensor, Reference>()
  let batch: number | undefined
  for (const [leaf, value] of bindings) {
    const bound = bind(leaf, value)
    values.set(leaf, bound)
    leaf.shape.forEach((dim, axis) => {
      if (dim < 0) batch = bound.shape[axis] / -dim
    })
  }
  for (const node of topologicalOrder(outputs, node => values.has(node.outputs[0]))) {
    if (values.has(node.outputs[0])) continue
    const inputs = node.inputs.map(input => values.get(input)!)
    const specs = node.outputs.map(output => ({ shape: bindBatch(output.shape, batch), dtype: output.dtype }))
    const raw = node.primitive.evaluate(inputs, node.attributes, specs)
    const results = Array.isArray(raw) ? raw : [raw]
    node.outputs.forEach((output, i) => {
      const data = results[i] as Float64Array
      if (data.length !== sizeOf(specs[i].shape))
        throw new Error(
          `${node.primitive.name}: its reference gave ${data.length} values for ${formatShape(specs[i].shape)}`,
        )
      values.set(output, { shape: specs[i].shape as number[], dtype: output.dtype, data })
    })
  }
  return outputs.map(output => values.get(output)!)
}
