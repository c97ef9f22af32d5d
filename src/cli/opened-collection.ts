import type { Collection } from '../search/index.ts'
import { openEncoderOf } from './encoders.ts'

/** Opens a collection with its encoder, lets `use` ask it, and closes both. @param source encoder; default the one that made it */
export async function withCollection<T>(
  folder: string,
  source: string | undefined,
  use: (collection: Collection) => Promise<T>,
): Promise<T> {
  const { Collection } = await import('../search/index.ts')
  const encoder = await openEncoderOf(folder, source)
  try {
    const collection = await Collection.open(folder, encoder)
    try {
      return await use(collection)
    } finally {
      await collection.close()
    }
  } finally {
    await encoder.close()
  }
}
