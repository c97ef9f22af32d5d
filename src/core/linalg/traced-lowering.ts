import type { Lowering } from '../primitive.ts'
import { simplify } from '../simplify.ts'
import { type Node, placeholder, type Tensor, topologicalOrder } from '../tensor.ts'

/**
 * Lowers a primitive as the graph that `algorithm` builds from tensors standing for its inputs. For operations whose
 * gradient has a formula of its own, but whose value ONNX computes only as a loop.
 */
export function lowerTraced(
  to: Lowering,
  names: readonly string[],
  node: Node,
  algorithm: (...inputs: Tensor[]) => readonly Tensor[],
): string[] {
  const inputs = node.inputs.map(({ shape, dtype }, i) => placeholder(`input${i}`, shape, dtype))
  const outputs = simplify(algorithm(...inputs))
  const written = new Map<Tensor, string>(inputs.map((input, i) => [input, names[i]]))
  for (const inner of topologicalOrder(outputs)) {
    if (inner.outputs.every(output => written.has(output))) continue
    const lowered = inner.primitive.lower(
      to,
      inner.inputs.map(input => written.get(input)!),
      inner,
    )
    const results = typeof lowered === 'string' ? [lowered] : lowered
    inner.outputs.forEach((output, i) => {
      written.set(output, results[i])
    })
  }
  return outputs.map(output => written.get(output)!)
}
