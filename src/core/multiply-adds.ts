import { sizeOf } from './shape.ts'
import { type Node, type Tensor, topologicalOrder } from './tensor.ts'

/** Multiply-adds of one application of a primitive; 0 for those that are no sums of products. */
function ofNode({ primitive, inputs, outputs, attributes }: Node): number {
  switch (primitive.name) {
    case 'conv':
      return sizeOf(outputs[0].shape) * sizeOf(inputs[1].shape.slice(1))
    case 'convInputGradient':
      return sizeOf(inputs[0].shape) * sizeOf(inputs[1].shape.slice(1))
    case 'convWeightGradient':
      return sizeOf(inputs[1].shape) * sizeOf(outputs[0].shape.slice(1))
    case 'matmul': {
      const { transposeA } = attributes as { readonly transposeA: boolean }
      return sizeOf(outputs[0].shape) * inputs[0].shape[inputs[0].rank - (transposeA ? 2 : 1)]
    }
    default:
      return 0
  }
}

/** Adds up the products of a graph by the primitive that computes them; those inside a loop count as often as it runs. */
function collect(outputs: readonly Tensor[], times: number, found: Map<string, number>): void {
  for (const node of topologicalOrder(outputs)) {
    const { name } = node.primitive
    if (name === 'scan') {
      const { body, length } = node.attributes as ScanLike
      collect(body.outputs, times * length, found)
      continue
    }
    const count = ofNode(node)
    if (count > 0) found.set(name, (found.get(name) ?? 0) + times * count)
  }
}

interface ScanLike {
  readonly body: { readonly outputs: readonly Tensor[] }
  readonly length: number
}

/**
 * Multiply-adds that it takes to compute some tensors, by primitive: those of convolutions, their adjoints and gradients and
 * of matrix products, also inside loops, each counted once. Elementwise work, norms and pooling are left out, as is usual
 * where papers speak of FLOPs.
 * @param outputs with concrete shapes
 * @throws when a batch is symbolic
 */
export function countFlops(outputs: readonly Tensor[]): Map<string, number> {
  if (outputs.some(({ shape }) => shape.some(dim => dim < 0)))
    throw new Error('multiplyAdds: give inputs of a concrete size, such as a batch of 1')
  const found = new Map<string, number>()
  collect(outputs, 1, found)
  return found
}

/**
 * The sum of {@link countFlops}.
 * @param outputs with concrete shapes: `multiplyAdds([model.forward(placeholder('x', [1, 3, 224, 224]))])`
 * @throws when a batch is symbolic
 */
export function multiplyAdds(outputs: readonly Tensor[]): number {
  return [...countFlops(outputs).values()].reduce((a, b) => a + b, 0)
}
