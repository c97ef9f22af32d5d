import type { Collection } from '../search/index.ts'
import type { RetrievalEncoder } from '../tasks/retrieve/encoder.ts'
import { ProgressBar } from './progress.ts'

/** What the option is called and says wherever there is one. */
export const encoderOption = {
  flags: '--encoder <encoder>',
  describes: 'a file of Tenet, a folder with an ONNX image/text pair, or hf:owner/name',
} as const

/** Opens an encoder, and shows how far a download is. @param source default: the encoder that comes with Tenet */
export async function openEncoder(source?: string): Promise<RetrievalEncoder> {
  const { loadEncoder } = await import('../tasks/retrieve/load-encoder.ts')
  const bar = new ProgressBar('fetching {file} {bar} {megabytes}/{of} MB')
  try {
    return await loadEncoder(source, {
      onDownload: ({ done, total, file }) =>
        bar.update(done, total, { file, megabytes: (done / 1e6).toFixed(1), of: (total / 1e6).toFixed(1) }),
    })
  } finally {
    bar.stop()
  }
}

/**
 * Opens the encoder that a collection is to be opened with.
 *
 * @param source as given; by default the one that made the collection, which its manifest remembers
 * @throws one line when that is not where it was
 */
export async function openEncoderOf(folder: string, source?: string): Promise<RetrievalEncoder> {
  if (source !== undefined) return openEncoder(source)
  const { readManifest } = await import('../search/index.ts')
  const encoder = (await readManifest(folder))?.encoder
  return openEncoder(encoder?.source).catch((error: Error) => {
    if (encoder?.source === undefined) throw error
    throw new Error(
      `collection ${folder} was made by encoder ${encoder.name}, which cannot be opened: ${error.message}; say with --encoder where it is now`,
    )
  })
}

/** Collections with their encoders, each of which is opened once. */
export class OpenedCollections {
  readonly #encoders = new Map<string, Promise<RetrievalEncoder>>()
  readonly #collections: Collection[] = []

  /** The encoder of a name, or the one that comes with Tenet. */
  encoder(source?: string): Promise<RetrievalEncoder> {
    return this.#once(source, () => openEncoder(source))
  }

  /** @param source encoder; default the one that made the collection */
  async open(folder: string, source?: string): Promise<Collection> {
    const { Collection, readManifest } = await import('../search/index.ts')
    const remembered = source ?? (await readManifest(folder))?.encoder.source
    const encoder = await this.#once(remembered, () => openEncoderOf(folder, source))
    const collection = await Collection.open(folder, encoder)
    this.#collections.push(collection)
    return collection
  }

  #once(key: string | undefined, open: () => Promise<RetrievalEncoder>): Promise<RetrievalEncoder> {
    const opened = this.#encoders.get(key ?? '') ?? open()
    this.#encoders.set(key ?? '', opened)
    return opened
  }

  async close(): Promise<void> {
    for (const collection of this.#collections) await collection.close()
    for (const encoder of this.#encoders.values())
      await encoder.then(
        opened => opened.close(),
        // Whoever asked for it was told why it could not be opened.
        () => undefined,
      )
  }
}
