import type { Primitive } from '../../primitive.ts'
import { formatShape, sizeOf } from '../../shape.ts'
import { apply, type Tensor } from '../../tensor.ts'

/** How values that meet in one place are combined. */
export type ScatterReduction = 'mul' | 'max' | 'min'

const combine: Record<ScatterReduction, (a: number, b: number) => number> = {
  mul: (a, b) => a * b,
  max: Math.max,
  min: Math.min,
}

function scatterReducePrimitive(reduction: ScatterReduction): Primitive<{ readonly axis: number }> {
  return {
    name: `scatter${reduction}`,
    // Products stand in the operator set since 16, extrema since 18.
    opset: reduction === 'mul' ? 17 : 18,
    shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
    vjp: () => {
      throw new Error(`scatter with reduction '${reduction}' has no gradient`)
    },
    lower: (to, inputs, node) =>
      to.emit('ScatterElements', inputs, { axis: { int: node.attributes.axis }, reduction: { string: reduction } }),
    evaluate: ([x, indices, updates], { axis }) => {
      const result = x.data.slice()
      const inner = sizeOf(indices.shape.slice(axis + 1))
      const line = indices.shape[axis] * inner
      indices.data.forEach((index, i) => {
        const place = index < 0 ? index + x.shape[axis] : index
        if (!(place >= 0 && place < x.shape[axis]))
          throw new Error(`scatter: index ${index} is out of range for axis ${axis} of ${formatShape(x.shape)}`)
        const target = (Math.floor(i / line) * x.shape[axis] + place) * inner + (i % inner)
        result[target] = combine[reduction](result[target], updates.data[i])
      })
      return result
    },
  }
}

const primitives: Record<ScatterReduction, Primitive<{ readonly axis: number }>> = {
  mul: scatterReducePrimitive('mul'),
  max: scatterReducePrimitive('max'),
  min: scatterReducePrimitive('min'),
}

/** `x` with elements along `axis` combined with those of `updates`, whose other axes are those of `x` (ONNX ScatterElements). */
export const scatterReduce = (
  x: Tensor,
  indices: Tensor,
  updates: Tensor,
  axis: number,
  reduction: ScatterReduction,
): Tensor => apply(primitives[reduction], [x, indices, updates], { axis })
