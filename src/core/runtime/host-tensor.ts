import type { DType, HostData } from '../dtype.ts'
import { dtypeOf, fromNumbers, toNumbers } from '../dtype.ts'
import type { Shape } from '../shape.ts'
import { formatShape, sizeOf } from '../shape.ts'
import { asTensor, constantData, tensor as constantTensor, type NestedNumbers } from '../tensor.ts'

/** A value on the host: what programs take and give back. */
export class HostTensor {
  constructor(
    readonly data: HostData,
    readonly shape: readonly number[],
    readonly dtype: DType = dtypeOf(data),
  ) {
    if (data.length !== sizeOf(shape))
      throw new Error(`${data.length} values do not fill the shape ${formatShape(shape)}`)
  }

  /** The values as float64 numbers, row-major. */
  numbers(): Float64Array {
    return toNumbers(this.dtype, this.data)
  }

  /** The value of a one-element tensor. @throws when there are more */
  item(): number {
    if (this.data.length !== 1) throw new Error(`item: the tensor is ${formatShape(this.shape)}, not a single value`)
    return this.numbers()[0]
  }

  /** Numbers nested as deep as there are axes. */
  toArray(): unknown {
    const flat = this.numbers()
    let position = 0
    const build = (axis: number): unknown =>
      axis === this.shape.length ? flat[position++] : Array.from({ length: this.shape[axis] }, () => build(axis + 1))
    return build(0)
  }
}

/** Anything a program takes as the value of an input. */
export type HostValue = HostTensor | HostData | number | boolean | NestedNumbers

/** A typed array with a shape; numbers are converted to `dtype`. */
export function hostTensor(data: HostData | ArrayLike<number>, shape: Shape, dtype?: DType): HostTensor {
  if (ArrayBuffer.isView(data) && !(data instanceof Float64Array)) return new HostTensor(data as HostData, shape, dtype)
  return new HostTensor(fromNumbers(dtype ?? 'f32', data as ArrayLike<number>), shape, dtype ?? 'f32')
}

/** Reads any accepted value; plain numbers become f32. */
export function toHostTensor(value: HostValue): HostTensor {
  if (value instanceof HostTensor) return value
  const constant = ArrayBuffer.isView(value) ? constantTensor(value) : asTensor(value)
  return new HostTensor(constantData(constant)!, constant.shape, constant.dtype)
}
