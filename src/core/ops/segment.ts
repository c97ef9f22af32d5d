import type { Primitive } from '../primitive.ts'
import { formatShape, sizeOf } from '../shape.ts'
import { apply, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import { div, equal, exp, isInfinite, maximum, mul, requireFloat, sub, where } from './elementwise.ts'
import { gather, indexAdd } from './indexing.ts'
import { asIndices, checkKnown, type Indices, requireInside } from './indices.ts'
import { ones, reshape, zeros } from './layout.ts'
import { stopGradient } from './reduce.ts'
import { asInt64, lowerBlockScatter } from './scatter-lowering.ts'

interface SegmentAttributes {
  readonly segments: number
}

const segmentMaxPrimitive: Primitive<SegmentAttributes> = {
  name: 'segmentMax',
  // Before 18, ScatterND has no maximum.
  opset: 18,
  shape: ([x], { segments }) => ({ shape: [segments, ...x.shape.slice(1)], dtype: x.dtype }),
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [x, ids] = node.inputs
    const { segments } = node.attributes
    const chosen = cast(equal(x, gather(node.outputs[0], ids)), ct.dtype)
    const ties = gather(segmentSum(chosen, ids, segments), ids)
    return [mul(div(chosen, ties), gather(ct, ids)), undefined]
  },
  lower: (to, [x, ids], node) => {
    const [{ shape, dtype }, { dtype: idType }] = node.inputs
    const [out] = node.outputs
    const table = lowerBlockScatter(to, x, asInt64(to, ids, idType), {
      batch: 1,
      before: 1,
      picked: shape[0],
      after: sizeOf(shape.slice(1)),
      size: node.attributes.segments,
      dtype,
      distinct: false,
      reduction: 'max',
    })
    return to.emit('Reshape', [table, to.shape(out.shape)], { allowzero: { int: 1 } })
  },
  evaluate: ([x, ids], { segments }, [out]) => {
    const width = sizeOf(x.shape.slice(1))
    const result = new Float64Array(sizeOf(out.shape)).fill(Number.NEGATIVE_INFINITY)
    ids.data.forEach((id, row) => {
      const start = requireInside('segmentMax', id, segments) * width
      for (let i = 0; i < width; i++) result[start + i] = Math.max(result[start + i], x.data[row * width + i])
    })
    return result
  },
}

function rowsAndIds(op: string, x: TensorLike, ids: Indices, segments: number): [Tensor, Tensor] {
  const rows = asTensor(x)
  const places = asIndices(op, ids)
  requireFloat(op, rows)
  if (!Number.isInteger(segments) || segments < 0)
    throw new Error(`${op}: expected a whole number of segments, got ${segments}`)
  if (rows.rank === 0 || places.rank !== 1 || places.shape[0] !== rows.shape[0])
    throw new Error(
      `${op}: expected one segment id for each row of ${formatShape(rows.shape)}, got ${formatShape(places.shape)}`,
    )
  checkKnown(op, places, 0, [segments])
  return [rows, places]
}

/**
 * Sums rows that belong together: out[s] = sum of x[r] over the rows r with ids[r] = s. Ids need no order.
 * @param x [rows, …] floats
 * @param ids [rows] i32 or i64, 0 to segments-1; rows to leave out can be given one more segment, cut off afterwards
 * @param segments their number, known when the graph is built
 * @returns [segments, …]; zeros for a segment without rows
 * @throws when the shapes do not fit or a constant id is out of range; computed ones: see {@link gather}
 */
export function segmentSum(x: TensorLike, ids: Indices, segments: number): Tensor {
  const [rows, places] = rowsAndIds('segmentSum', x, ids, segments)
  return indexAdd(zeros([segments, ...rows.shape.slice(1)], rows.dtype), places, rows)
}

/** Mean of the rows of each segment, zeros for one without rows; see {@link segmentSum}. */
export function segmentMean(x: TensorLike, ids: Indices, segments: number): Tensor {
  const [rows, places] = rowsAndIds('segmentMean', x, ids, segments)
  const counts = segmentSum(ones([rows.shape[0]], rows.dtype), places, segments)
  const shape = [segments, ...new Array<number>(rows.rank - 1).fill(1)]
  return div(segmentSum(rows, places, segments), reshape(maximum(counts, 1), shape))
}

/** Largest row entry of each segment, minus infinity for one without rows; ties share the gradient. See {@link segmentSum}. */
export function segmentMax(x: TensorLike, ids: Indices, segments: number): Tensor {
  const [rows, places] = rowsAndIds('segmentMax', x, ids, segments)
  if (rows.dtype === 'f16') return cast(segmentMax(cast(rows, 'f32'), places, segments), 'f16')
  return apply(segmentMaxPrimitive, [rows, places], { segments })
}

/**
 * Softmax over the rows of each segment: y[r] = exp(x[r]) / sum of exp(x[q]) over the rows q with ids[q] = ids[r].
 * A segment whose scores are all minus infinity gives zeros. See {@link segmentSum} for the arguments.
 * @returns [rows, …], positive and summing to 1 over every segment
 */
export function segmentSoftmax(x: TensorLike, ids: Indices, segments: number): Tensor {
  const [rows, places] = rowsAndIds('segmentSoftmax', x, ids, segments)
  const peak = stopGradient(segmentMax(rows, places, segments))
  const shift = gather(where(isInfinite(peak), 0, peak), places)
  const grown = exp(sub(rows, shift))
  const total = segmentSum(grown, places, segments)
  return div(grown, gather(where(equal(total, 0), 1, total), places))
}
