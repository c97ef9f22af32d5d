import type { Primitive } from '../primitive.ts'
import { formatShape, sameShape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { apply } from '../tensor.ts'
import { mul, requireFloat } from './elementwise.ts'
import { sum } from './reduce.ts'

const addScaledPrimitive: Primitive = {
  name: 'addScaledRows',
  shape: ([x, y, scale]) => {
    requireFloat('addScaledRows', x)
    if (!sameShape(x.shape, y.shape) || !sameShape(scale.shape, [...x.shape.slice(0, -1), 1]))
      throw new Error(
        `addScaledRows: expected x and y of one shape and a scale for each row, got ${[x, y, scale].map(t => formatShape(t.shape)).join(', ')}`,
      )
    return { shape: x.shape, dtype: x.dtype }
  },
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [, y, scale] = node.inputs
    return [ct, mul(ct, scale), sum(mul(ct, y), -1, true)]
  },
  lower: (to, [x, y, scale], { inputs: [{ dtype, shape }] }) =>
    // The contributed operator refuses rows of nothing.
    to.contributed && dtype === 'f32' && shape[shape.length - 1] > 0
      ? to.emit('GatedAdd', [x, y, scale], {}, 'com.microsoft')
      : to.emit('Add', [x, to.emit('Mul', [y, scale])]),
  evaluate: ([x, y, scale]) => {
    const width = x.shape[x.shape.length - 1]
    return x.data.map((value, i) => value + y.data[i] * scale.data[Math.floor(i / width)])
  },
}

/**
 * x + y * scale in one pass over memory, where `scale` holds one number for each row (line along the last axis).
 * Gradients of softmax and of the norms end in this sum.
 * @param x [..., n]
 * @param y [..., n]
 * @param scale [..., 1]
 */
export const addScaledRows = (x: Tensor, y: Tensor, scale: Tensor): Tensor =>
  apply(addScaledPrimitive, [x, y, scale], {})
