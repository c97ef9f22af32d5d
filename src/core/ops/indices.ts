import { type DType, fromNumbers, type HostData, isInteger, toNumbers } from '../dtype.ts'
import { formatShape } from '../shape.ts'
import { asTensor, constant, constantData, type NestedNumbers, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'

/** Positions along an axis: an i32 or i64 tensor, or plain whole numbers. Negative ones count from the end. */
export type Indices = Tensor | number | NestedNumbers | Int32Array | BigInt64Array

const ranges = new Map<string, HostData>()

/** 0, 1, …, count-1. */
export function arange(count: number, dtype: DType = 'i64'): Tensor {
  if (!Number.isInteger(count) || count < 0)
    throw new Error(`arange: expected a whole number of elements, got ${count}`)
  const key = `${dtype}${count}`
  let data = ranges.get(key)
  if (!data) {
    data = fromNumbers(
      dtype,
      Array.from({ length: count }, (_, i) => i),
    )
    ranges.set(key, data)
  }
  return constant(data, [count], dtype)
}

export function asIndices(op: string, indices: Indices): Tensor {
  const read = asTensor(indices, indices instanceof Tensor || ArrayBuffer.isView(indices) ? undefined : 'i64')
  if (!isInteger(read.dtype)) throw new Error(`${op}: indices must be i32 or i64, got ${read.dtype}`)
  return read.dtype === 'u8' ? cast(read, 'i64') : read
}

/** What is known when the graph is built is checked then; other indices are checked by the kernel (see {@link gather}). */
export function checkKnown(op: string, indices: Tensor, axis: number, shape: readonly number[]): void {
  const data = constantData(indices)
  const size = shape[axis]
  if (!data || size < 0) return
  const wrong = toNumbers(indices.dtype, data).find(index => index < -size || index >= size)
  if (wrong !== undefined)
    throw new Error(
      `${op}: index ${wrong} is out of range for axis ${axis} of ${formatShape(shape)}, which takes ${-size} to ${size - 1}`,
    )
}

export const wrapped = (index: number, size: number): number => (index < 0 ? index + size : index)

export function requireInside(op: string, index: number, size: number): number {
  const place = wrapped(index, size)
  if (!(place >= 0 && place < size)) throw new Error(`${op}: index ${index} is out of range for an axis of ${size}`)
  return place
}
