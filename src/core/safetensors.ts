import { allocate, bytesPerElement, type DType } from './dtype.ts'
import { HostTensor } from './runtime/host-tensor.ts'
import { sizeOf } from './shape.ts'

/** Named tensors with string metadata: the content of a .safetensors file. */
export interface TensorFile {
  readonly tensors: Map<string, HostTensor>
  readonly metadata: Record<string, string>
}

const formatNames: Record<DType, string> = { f32: 'F32', f16: 'F16', i32: 'I32', i64: 'I64', u8: 'U8', bool: 'BOOL' }
const formatTypes = new Map(Object.entries(formatNames).map(([dtype, name]) => [name, dtype as DType]))
/** Formats read by widening: doubles and bfloat16 become f32, narrow integers i32. */
const widened: Record<string, { to: DType; bytes: number; read: (view: DataView, offset: number) => number }> = {
  F64: { to: 'f32', bytes: 8, read: (view, offset) => view.getFloat64(offset, true) },
  BF16: { to: 'f32', bytes: 2, read: (view, offset) => bfloat(view.getUint16(offset, true)) },
  I8: { to: 'i32', bytes: 1, read: (view, offset) => view.getInt8(offset) },
  I16: { to: 'i32', bytes: 2, read: (view, offset) => view.getInt16(offset, true) },
  U16: { to: 'i32', bytes: 2, read: (view, offset) => view.getUint16(offset, true) },
}

const bits = new DataView(new ArrayBuffer(4))
function bfloat(half: number): number {
  bits.setUint32(0, half << 16)
  return bits.getFloat32(0)
}

const MAX_HEADER = 100_000_000

interface Entry {
  readonly dtype: string
  readonly shape: number[]
  readonly data_offsets: [number, number]
}

/**
 * Reads a safetensors file. f64 and bf16 are read as f32; 8- and 16-bit integers as i32.
 * @param bytes the whole file
 * @param name shown in errors
 * @throws one line when the file is truncated, its header is not JSON, or a tensor does not fit its bytes
 */
export function readSafetensors(bytes: Uint8Array, name = 'safetensors'): TensorFile {
  const fail = (problem: string): never => {
    throw new Error(`${name}: not a readable safetensors file: ${problem}`)
  }
  if (bytes.length < 8) fail(`${bytes.length} bytes are too few for a header`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = Number(view.getBigUint64(0, true))
  if (length > MAX_HEADER || length + 8 > bytes.length)
    fail(`the header claims ${length} bytes, the file has ${bytes.length}`)
  let header: Record<string, unknown>
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + length)))
  } catch {
    return fail('the header is not JSON')
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) fail('the header is not a JSON object')
  const tensors = new Map<string, HostTensor>()
  const start = 8 + length
  for (const [key, value] of Object.entries(header)) {
    if (key === '__metadata__') continue
    const entry = checkEntry(key, value, bytes.length - start, fail)
    tensors.set(key, readTensor(key, entry, bytes, view, start, fail))
  }
  return { tensors, metadata: readMetadata(header.__metadata__) }
}

const readMetadata = (value: unknown): Record<string, string> =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, String(v)]))
    : {}

function checkEntry(key: string, value: unknown, available: number, fail: (problem: string) => never): Entry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Partial<Entry>
  const whole = (n: unknown): boolean => Number.isSafeInteger(n) && (n as number) >= 0
  if (typeof dtype !== 'string' || !Array.isArray(shape) || !shape.every(whole))
    fail(`tensor '${key}' has no dtype or shape`)
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(whole) ||
    offsets[0] > offsets[1] ||
    offsets[1] > available
  )
    fail(`tensor '${key}' lies outside the file`)
  return { dtype, shape, data_offsets: offsets } as Entry
}

function readTensor(
  key: string,
  entry: Entry,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  fail: (problem: string) => never,
): HostTensor {
  const [from, to] = entry.data_offsets
  const count = sizeOf(entry.shape)
  const wide = widened[entry.dtype]
  const dtype =
    wide?.to ??
    formatTypes.get(entry.dtype) ??
    fail(`tensor '${key}' has the element type ${entry.dtype}, which is not supported`)
  if (to - from !== count * (wide?.bytes ?? bytesPerElement[dtype]))
    fail(`tensor '${key}' has ${to - from} bytes for shape [${entry.shape}]`)
  const data = allocate(dtype, count)
  if (wide) for (let i = 0; i < count; i++) (data as Float32Array)[i] = wide.read(view, start + from + i * wide.bytes)
  // Copied, so that the values are aligned and do not keep the whole file alive.
  else new Uint8Array(data.buffer, data.byteOffset, data.byteLength).set(bytes.subarray(start + from, start + to))
  return new HostTensor(data, entry.shape, dtype)
}

/** Writes named tensors as a safetensors file. Names are kept in the order given. */
export function writeSafetensors(
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Record<string, string> = {},
): Uint8Array {
  const list = [...tensors]
  const header: Record<string, unknown> = Object.keys(metadata).length ? { __metadata__: metadata } : {}
  let offset = 0
  for (const [name, { data, shape, dtype }] of list) {
    header[name] = { dtype: formatNames[dtype], shape, data_offsets: [offset, offset + data.byteLength] }
    offset += data.byteLength
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  // Readers map the file: the data must start at a multiple of eight.
  const padded = Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(8 + padded + offset)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true)
  bytes.fill(0x20, 8, 8 + padded)
  bytes.set(json, 8)
  let position = 8 + padded
  for (const [, { data }] of list) {
    bytes.set(new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength), position)
    position += data.byteLength
  }
  return bytes
}
