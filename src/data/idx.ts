import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'

const gunzipAsync = promisify(gunzip)
const unsignedByte = 0x08

/** An array of unsigned bytes with its dimensions, outermost first. */
export interface IdxArray {
  dimensions: number[]
  values: Uint8Array
}

/**
 * Reads the IDX format of the MNIST family (http://yann.lecun.com/exdb/mnist, "the IDX file format"): two zero bytes, the
 * element type, the number of dimensions, each dimension as a big-endian 32-bit integer, then the elements.
 *
 * @param bytes the uncompressed file
 * @param name what to call the file in an error
 * @returns the dimensions and a view of the elements, not a copy
 * @throws Error when the header is not IDX, the elements are not unsigned bytes, or the length does not match
 */
export function parseIdx(bytes: Uint8Array, name: string): IdxArray {
  const rank = bytes[3]
  const headerLength = 4 + 4 * rank
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0 || rank === 0 || bytes.length < headerLength) {
    throw new Error(`${name}: not an IDX file (it should start with two zero bytes, a type and dimensions).`)
  }
  if (bytes[2] !== unsignedByte) {
    throw new Error(`${name}: holds IDX elements of type 0x${bytes[2].toString(16)}; expected unsigned bytes (0x8).`)
  }
  const header = new DataView(bytes.buffer, bytes.byteOffset, headerLength)
  const dimensions = Array.from({ length: rank }, (_, axis) => header.getUint32(4 + 4 * axis))
  const expected = dimensions.reduce((product, dimension) => product * dimension, 1)
  const values = bytes.subarray(headerLength)
  if (values.length !== expected) {
    throw new Error(
      `${name}: holds ${values.length} elements, but its header promises ${expected} ([${dimensions}]); ` +
        'the file is cut off or damaged, fetch it again.',
    )
  }
  return { dimensions, values }
}

/**
 * Reads a file, unpacking it when it is gzip (told by its first two bytes, not by its name).
 *
 * @throws Error naming the file when it cannot be read or unpacked
 */
export async function readMaybeGzip(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path)
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    return await gunzipAsync(bytes)
  } catch (cause) {
    throw new Error(`${path}: the gzip data is cut off or damaged (${(cause as Error).message}); fetch it again.`, {
      cause,
    })
  }
}
