import { join } from 'node:path'
import { type ArraySource, type Dataset, type SampleShape, sizeOf } from './dataset.ts'
import { decodeImage } from './decode.ts'

/** One sample's values, as many as its shape has, beginning at `offset` of `values`. */
export interface SampleValues {
  values: Uint8Array | Float32Array
  offset: number
}

/** Where a sample in memory is. */
export function storedSample(source: ArraySource, shape: SampleShape, index: number): SampleValues {
  return { values: source.values, offset: (source.rows ? source.rows[index] : index) * sizeOf(shape) }
}

/**
 * The values of one sample: its place in the data set's memory, or its file decoded now.
 *
 * @throws ImageError naming the file when it cannot be decoded
 */
export async function readSample(dataset: Dataset, index: number): Promise<SampleValues> {
  const { source, shape } = dataset
  if (source.kind === 'array') return storedSample(source, shape, index)
  const file = source.files[index]
  const { values } = await decodeImage(join(source.root, file), source.decode, file)
  return { values, offset: 0 }
}
