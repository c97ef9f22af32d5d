import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { RetrievalEncoder } from '../tasks/retrieve/encoder.ts'
import { CollectionError } from './collection-error.ts'

/** What a collection says of itself, in `manifest.json`. */
export interface Manifest {
  readonly format: 'tenet-collection'
  readonly version: 1
  readonly encoder: {
    readonly id: string
    readonly name: string
    readonly dim: number
    readonly widths: readonly number[]
    /** Where it was found; left out for the one that comes with Tenet. */
    readonly source?: string
  }
  /** Items at the last finished indexing. */
  readonly count: number
}

const file = 'manifest.json'

/** @returns undefined when there is none. @throws CollectionError when it is no manifest of this version */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  let text: string
  try {
    text = await readFile(join(folder, file), 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new CollectionError(`collection ${folder}: ${file} cannot be read (${code}).`)
  }
  const value = parse(text)
  if (value?.format !== 'tenet-collection' || typeof value.encoder?.id !== 'string')
    throw new CollectionError(
      `collection ${folder} is damaged: ${file} is not valid; index its source into a new folder.`,
    )
  if (value.version !== 1)
    throw new CollectionError(
      `collection ${folder} has format version ${value.version}, this Tenet reads 1; index its source into a new folder.`,
    )
  return value
}

function parse(text: string): Manifest | undefined {
  try {
    return JSON.parse(text) as Manifest
  } catch {
    return undefined
  }
}

export function manifestOf({ id, name, dim, widths, source }: RetrievalEncoder, count: number): Manifest {
  return { format: 'tenet-collection', version: 1, encoder: { id, name, dim, widths, source }, count }
}

/** Replaces the manifest as a whole: a crash leaves the old one or the new one. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const temporary = join(folder, `${file}.${process.pid}.tmp`)
  const handle = await open(temporary, 'w')
  try {
    await handle.writeFile(`${JSON.stringify(manifest, undefined, 2)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, join(folder, file))
}

/** @throws CollectionError when vectors of the two cannot be compared */
export function checkEncoder(folder: string, { encoder }: Manifest, given: RetrievalEncoder): void {
  if (encoder.id === given.id && encoder.dim === given.dim) return
  throw new CollectionError(
    `collection ${folder} was made by encoder ${encoder.name} (${encoder.id.slice(0, 12)}), not by ${given.name} (${given.id.slice(0, 12)}); open it with that encoder, or index into a new folder.`,
  )
}
