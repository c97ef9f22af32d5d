import { type TensorProto, TensorProto_DataLocation } from 'onnx-buf'
import { allocate, bytesPerElement, type DType, fromNumbers, type HostData } from '../../dtype.ts'
import { HostTensor } from '../../runtime/host-tensor.ts'
import { dtypeOfOnnx } from '../types.ts'
import { safeExternalLocation } from './external.ts'
import { UnsupportedModel } from './failure.ts'

/** Tensors with more elements than this are refused: no machine that runs such a model holds them. */
export const MAX_ELEMENTS = 2 ** 31

/** Where the numbers of a model come from. */
export interface TensorSource {
  /** Bytes of an external data file, by its location relative to the model. */
  readonly externalData?: (location: string) => Uint8Array
  /** What to do with float64: refuse it (default), or round it to float32. */
  readonly double?: 'reject' | 'f32'
}

/** Names of the element types of TensorProto.DataType that Tenet has none for. */
const foreignTypes: Record<number, string> = {
  0: 'undefined',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  8: 'string',
  11: 'double',
  12: 'uint32',
  13: 'uint64',
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
}
const DOUBLE = 11

/** The dtype of an ONNX element type, or an error naming the type. */
export function elementType(code: number, { double }: TensorSource): DType {
  if (code === DOUBLE && double === 'f32') return 'f32'
  const dtype = dtypeOfOnnx(code)
  if (dtype) return dtype
  const advice = code === DOUBLE ? "; read the model with { double: 'f32' } to round it to float32" : ''
  throw new UnsupportedModel(
    'element type',
    `element type ${foreignTypes[code] ?? `number ${code}`} is not supported${advice}`,
  )
}

/** Sizes of a tensor out of a file. @throws when one is negative or their product absurd */
export function readDims(dims: readonly bigint[]): number[] {
  let size = 1n
  for (const dim of dims) {
    if (dim < 0n) throw new Error(`size ${dim} is negative`)
    size *= dim
    if (dim > BigInt(MAX_ELEMENTS) || size > BigInt(MAX_ELEMENTS))
      throw new Error(`sizes [${dims.slice(0, 8)}] make more than 2^31 elements`)
  }
  if (dims.length > MAX_RANK) throw new Error(`${dims.length} axes are more than ${MAX_RANK}`)
  return dims.map(Number)
}
const MAX_RANK = 32

/**
 * The value of a TensorProto, copied out of the file.
 * @throws when it holds another number of bytes than its sizes say, or its data lie outside the model's folder
 */
export function readTensor(proto: TensorProto, source: TensorSource): HostTensor {
  const dtype = elementType(proto.dataType, source)
  const shape = readDims(proto.dims)
  const length = shape.reduce((size, dim) => size * dim, 1)
  if (proto.segment) throw new Error('a tensor stored in segments is not supported')
  const width = proto.dataType === DOUBLE ? 8 : bytesPerElement[dtype]
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL)
    return new HostTensor(fromBytes(externalBytes(proto, source, length * width), proto.dataType, dtype), shape, dtype)
  if (proto.rawData.length > 0) {
    if (proto.rawData.length !== length * width)
      throw new Error(`${proto.rawData.length} bytes of data do not fill [${shape}], which takes ${length * width}`)
    return new HostTensor(fromBytes(proto.rawData, proto.dataType, dtype), shape, dtype)
  }
  const values = typedField(proto, dtype)
  if (values.length !== length)
    throw new Error(`${values.length} values of data do not fill [${shape}], which takes ${length}`)
  return new HostTensor(fromField(values, dtype), shape, dtype)
}

/** The repeated field that holds values of this type when they are not raw bytes. */
function typedField(proto: TensorProto, dtype: DType): readonly number[] | readonly bigint[] {
  if (proto.dataType === DOUBLE) return proto.doubleData
  if (dtype === 'f32') return proto.floatData
  return dtype === 'i64' ? proto.int64Data : proto.int32Data
}

function fromField(values: readonly number[] | readonly bigint[], dtype: DType): HostData {
  if (dtype === 'i64') return BigInt64Array.from(values as readonly bigint[])
  // Halves stand in int32_data as their bits.
  if (dtype === 'f16') return Uint16Array.from(values as readonly number[])
  return fromNumbers(dtype, values as readonly number[])
}

function fromBytes(bytes: Uint8Array, code: number, dtype: DType): HostData {
  // A copy: the bytes of a file stand at any offset, typed arrays need theirs aligned.
  const { buffer } = new Uint8Array(bytes)
  if (code === DOUBLE) return Float32Array.from(new Float64Array(buffer))
  const like = allocate(dtype, 0)
  const View = like.constructor as new (buffer: ArrayBuffer) => HostData
  const data = new View(buffer as ArrayBuffer)
  return dtype === 'bool' ? (data as Uint8Array).map(value => (value ? 1 : 0)) : data
}

function externalBytes(proto: TensorProto, { externalData }: TensorSource, needed: number): Uint8Array {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]))
  const location = safeExternalLocation(entries.get('location') ?? '')
  if (!externalData)
    throw new Error(`its data lie in '${location}': read the model with { externalData } to give that file's bytes`)
  const file = externalData(location)
  const offset = wholeNumber('offset', entries.get('offset') ?? '0')
  const length = wholeNumber('length', entries.get('length') ?? String(needed))
  if (length !== needed)
    throw new Error(`external data of ${length} bytes do not fill [${proto.dims}], which takes ${needed}`)
  if (offset + length > file.length)
    throw new Error(
      `external data end at byte ${offset + length}, after the end of '${location}' (${file.length} bytes)`,
    )
  return file.subarray(offset, offset + length)
}

function wholeNumber(what: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new Error(`external data: ${what} '${text.slice(0, 32)}' is not a whole number`)
  return Number(text)
}
