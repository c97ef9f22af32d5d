import type { Collection } from '../search/index.ts'

/** Opens a collection with its encoder, lets `use` ask it, and closes both. @param weights file of the encoder; default the one that comes with Tenet */
export async function withCollection<T>(
  folder: string,
  weights: string | undefined,
  use: (collection: Collection) => Promise<T>,
): Promise<T> {
  const { Collection } = await import('../search/index.ts')
  const { loadEncoder } = await import('../tasks/retrieve/load-encoder.ts')
  const encoder = await loadEncoder(weights)
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
