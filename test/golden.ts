import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the reference outputs are when they are at hand: beside the repository, never inside it. */
export const goldenFolder = fileURLToPath(new URL('../../shared/golden', import.meta.url))

/** One tensor of a golden file. Bool and byte tensors read as Int32Array; so do int64 tensors, whose values all fit. */
export interface GoldenTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array
}

/** A golden file: its tensors by name, and the JSON under its metadata key `golden`. */
export interface Golden {
  readonly tensors: ReadonlyMap<string, GoldenTensor>
  readonly golden: Readonly<Record<string, unknown>>
}

interface HeaderEntry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

const goldenPath = (name: string) => join(goldenFolder, `${name}.safetensors`)

/** Whether `../shared/golden/<name>.safetensors` exists: for `describe.skipIf(!goldenExists(name))`. */
export const goldenExists = (name: string): boolean => existsSync(goldenPath(name))

function decode(name: string, dtype: string, bytes: ArrayBuffer): Float32Array | Int32Array {
  switch (dtype) {
    case 'F32':
      return new Float32Array(bytes)
    case 'I32':
      return new Int32Array(bytes)
    case 'I64':
      return Int32Array.from(new BigInt64Array(bytes), Number)
    case 'BOOL':
    case 'U8':
      return Int32Array.from(new Uint8Array(bytes))
    default:
      throw new Error(`golden tensor ${name} has dtype ${dtype}; the reader knows F32, I32, I64, BOOL and U8`)
  }
}

/**
 * Reads `../shared/golden/<name>.safetensors`.
 *
 * @param name file name without extension, e.g. `core.linalg`
 * @returns the tensors and the golden metadata, or undefined if there is no such file
 */
export function readGolden(name: string): Golden | undefined {
  if (!goldenExists(name)) return undefined
  const file = readFileSync(goldenPath(name))
  const headerLength = Number(file.readBigUInt64LE(0))
  const header: Record<string, HeaderEntry> & { __metadata__?: Record<string, string> } = JSON.parse(
    file.toString('utf8', 8, 8 + headerLength),
  )
  const { __metadata__: metadata, ...entries } = header
  const tensors = new Map<string, GoldenTensor>()
  for (const [tensorName, { dtype, shape, data_offsets }] of Object.entries(entries as Record<string, HeaderEntry>)) {
    const [start, end] = data_offsets
    // Copied, because a typed array must start at a multiple of its element size.
    const bytes = new Uint8Array(file.subarray(8 + headerLength + start, 8 + headerLength + end)).buffer
    tensors.set(tensorName, { shape, data: decode(tensorName, dtype, bytes) })
  }
  return { tensors, golden: JSON.parse(metadata?.golden ?? '{}') }
}

/**
 * The named tensor of a golden file.
 *
 * @throws Error naming the tensor if the file lacks it
 */
export function goldenTensor(golden: Golden, name: string): GoldenTensor {
  const tensor = golden.tensors.get(name)
  if (tensor === undefined) throw new Error(`the golden file has no tensor ${name}`)
  return tensor
}
