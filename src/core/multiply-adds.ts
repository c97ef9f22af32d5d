import { sizeOf } from './shape.ts'
import { type Node, type Tensor, topologicalOrder } from './tensor.ts'

/** Multiply-adds of one application of a primitive; 0 for those that are no sums of products. */
function ofNode({ primitive, inputs, outputs, attributes }: Node): number {
  switch (primitive.name) {
    case 'conv':
      return sizeOf(outputs[0].shape) * sizeOf(inputs[1].shape.slice(1))
    case 'convInputGradient':
      return sizeOf(inputs[0].shape) * sizeOf(inputs[1].shape.slice(1))
    case 'matmul': {
      const { transposeA } = attributes as { readonly transposeA: boolean }
      return sizeOf(outputs[0].shape) * inputs[0].shape[inputs[0].rank - (transposeA ? 2 : 1)]
    }
    case 'scan': {
      const { body, length } = attributes as { readonly body: { readonly outputs: readonly Tensor[] }; length: number }
      return length * multiplyAdds(body.outputs)
    }
    default:
      return 0
  }
}

/**
 * Multiply-adds that it takes to compute some tensors: those of convolutions, their adjoints and matrix products, also
 * inside loops, each counted once. Elementwise work, norms and pooling are left out, as is usual where papers speak of FLOPs.
 * @param outputs with concrete shapes: `multiplyAdds([model.forward(placeholder('x', [1, 3, 224, 224]))])`
 * @throws when a batch is symbolic
 */
export function multiplyAdds(outputs: readonly Tensor[]): number {
  if (outputs.some(({ shape }) => shape.some(dim => dim < 0)))
    throw new Error('multiplyAdds: give inputs of a concrete size, such as a batch of 1')
  return topologicalOrder(outputs).reduce((total, node) => total + ofNode(node), 0)
}
