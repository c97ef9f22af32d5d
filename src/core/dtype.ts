/** Element types a tensor can have. */
export type DType = 'f32' | 'f16' | 'i32' | 'i64' | 'u8' | 'bool'

/** The host array that carries each {@link DType}: f16 travels as raw bits in a Uint16Array. */
export type HostData = Float32Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array

export const isFloat = (dtype: DType): boolean => dtype === 'f32' || dtype === 'f16'
export const isInteger = (dtype: DType): boolean => dtype === 'i32' || dtype === 'i64' || dtype === 'u8'

/** Bytes one element takes. */
export const bytesPerElement: Record<DType, number> = { f32: 4, f16: 2, i32: 4, i64: 8, u8: 1, bool: 1 }

/** Allocates the host array of `length` zeros for `dtype`. */
export function allocate(dtype: DType, length: number): HostData {
  switch (dtype) {
    case 'f32':
      return new Float32Array(length)
    case 'f16':
      return new Uint16Array(length)
    case 'i32':
      return new Int32Array(length)
    case 'i64':
      return new BigInt64Array(length)
    default:
      return new Uint8Array(length)
  }
}

const scratch = new DataView(new ArrayBuffer(4))

/** Bits of the IEEE 754 half nearest to `value` (ties to even). */
export function toHalfBits(value: number): number {
  scratch.setFloat32(0, value)
  const bits = scratch.getUint32(0)
  const sign = (bits >>> 16) & 0x8000
  const exponent = (bits >>> 23) & 0xff
  const mantissa = bits & 0x7fffff
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa ? 0x200 : 0)
  const unbiased = exponent - 127
  if (unbiased > 15) return sign | 0x7c00
  const shift = unbiased < -14 ? Math.min(-1 - unbiased, 31) : 13
  const full = unbiased < -14 ? mantissa | 0x800000 : mantissa | ((unbiased + 15) << 23)
  const half = shift > 24 ? 0 : Math.floor(full / 2 ** shift)
  const rest = full - half * 2 ** shift
  const middle = 2 ** (shift - 1)
  return sign + half + (rest > middle || (rest === middle && (half & 1) === 1) ? 1 : 0)
}

/** Value of the IEEE 754 half with these `bits`. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const mantissa = bits & 0x3ff
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

/** Copies plain numbers into the host array of `dtype`; integers are truncated toward zero, booleans become 0 or 1. */
export function fromNumbers(dtype: DType, values: ArrayLike<number>): HostData {
  const out = allocate(dtype, values.length)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (dtype === 'i64') (out as BigInt64Array)[i] = BigInt(Math.trunc(value))
    else if (dtype === 'f16') (out as Uint16Array)[i] = toHalfBits(value)
    else if (dtype === 'bool') (out as Uint8Array)[i] = value ? 1 : 0
    else (out as Float32Array)[i] = value
  }
  return out
}

/** Reads a host array as float64 numbers. */
export function toNumbers(dtype: DType, data: HostData): Float64Array {
  const out = new Float64Array(data.length)
  if (dtype === 'f16') for (let i = 0; i < out.length; i++) out[i] = fromHalfBits(Number(data[i]))
  else for (let i = 0; i < out.length; i++) out[i] = Number(data[i])
  return out
}

/** The dtype a host array carries when nothing else is said. A Uint8Array reads as `u8`, a Uint16Array as `f16`. */
export function dtypeOf(data: HostData): DType {
  if (data instanceof Float32Array) return 'f32'
  if (data instanceof Int32Array) return 'i32'
  if (data instanceof BigInt64Array) return 'i64'
  if (data instanceof Uint16Array) return 'f16'
  if (data instanceof Uint8Array) return 'u8'
  throw new TypeError(
    `dtypeOf: expected Float32Array, Int32Array, BigInt64Array, Uint16Array or Uint8Array, got ${Object.prototype.toString.call(data)}`,
  )
}
