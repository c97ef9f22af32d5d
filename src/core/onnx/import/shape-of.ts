import type { Primitive } from '../../primitive.ts'
import { apply, type Tensor } from '../../tensor.ts'

const shapeOfPrimitive: Primitive = {
  name: 'shapeOf',
  shape: ([x]) => ({ shape: [x.shape.length], dtype: 'i64' }),
  lower: (to, [x]) => to.emit('Shape', [x]),
  evaluate: ([x]) => Float64Array.from(x.shape),
}

/** The sizes of x (i64) as they are at run time: what a symbolic batch leaves of ONNX's Shape. */
export const shapeOf = (x: Tensor): Tensor => apply(shapeOfPrimitive, [x], {})
