import type { DType } from '../dtype.ts'
import { isFloat } from '../dtype.ts'
import { onnxType } from '../onnx/types.ts'
import type { Primitive } from '../primitive.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor } from '../tensor.ts'

const castPrimitive: Primitive<{ readonly to: DType }> = {
  name: 'cast',
  shape: ([x], { to }) => ({ shape: x.shape, dtype: to }),
  vjp: (node, [ct]) => [
    ct && isFloat(node.inputs[0].dtype) && isFloat(ct.dtype) ? cast(ct, node.inputs[0].dtype) : undefined,
  ],
  lower: (to, [x], node) => to.emit('Cast', [x], { to: { int: onnxType(node.attributes.to) } }),
  evaluate: ([x], { to }) => x.data.map(value => convert(value, to)),
}

function convert(value: number, to: DType): number {
  if (to === 'bool') return value === 0 ? 0 : 1
  if (to === 'i32') return Math.trunc(value) | 0
  if (to === 'u8') return Math.trunc(value) & 255
  return to === 'i64' ? Math.trunc(value) : value
}

/** The same values with another element type. Floats are truncated toward zero on their way to integers. */
export function cast(x: TensorLike, to: DType): Tensor {
  const input = asTensor(x)
  return input.dtype === to ? input : apply(castPrimitive, [input], { to })
}
