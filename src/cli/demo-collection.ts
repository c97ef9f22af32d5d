import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { iconSets } from '../data/icons/index.ts'
import { Collection, openSource } from '../search/index.ts'
import { collectionFacets, type IndexingProgress, type Searchable, type ServedCollection } from '../server/index.ts'
import type { RetrievalEncoder } from '../tasks/retrieve/encoder.ts'
import { writeAtomic } from '../train/atomic.ts'
import { duration } from './progress.ts'
import { UserError } from './user-error.ts'

/** A collection that is served while it is being made. */
export interface IndexingDemo {
  readonly served: ServedCollection
  /** Brings it up to date; resolves when that is done or stopped, and reports a failure instead of throwing it. */
  start(say: (line: string) => void): Promise<void>
  stop(): void
}

/** A collection that is still being opened: what it is asked meanwhile waits. */
class OpeningCollection implements Searchable {
  readonly name: string
  readonly opened: Promise<Collection>
  #collection: Collection | undefined

  constructor(name: string, opened: Promise<Collection>) {
    this.name = name
    this.opened = opened
    opened.then(
      collection => {
        this.#collection = collection
      },
      // Whoever asks for the collection is told why it cannot be opened.
      () => undefined,
    )
  }

  get count(): number {
    return this.#collection?.count ?? 0
  }
  search: Searchable['search'] = async request => (await this.opened).search(request)
  describe: Searchable['describe'] = async (image, top) => (await this.opened).describe(image, top)
  item: Searchable['item'] = async id => (await this.opened).item(id)
  items: Searchable['items'] = async ids => (await this.opened).items(ids)
  close: Searchable['close'] = async () => (await this.opened.catch(() => undefined))?.close()
}

/**
 * The installed icon sets as a collection in `runs`, one for each encoder, as vectors of different encoders do not mix.
 *
 * @param names sets to take; default all that are installed
 * @throws UserError when there are none
 */
export async function demoCollection(encoder: RetrievalEncoder, names?: readonly string[]): Promise<IndexingDemo> {
  const sets = iconSets(names)
  if (sets.length === 0)
    throw new UserError('no icon sets are installed: install one, such as `npm install @iconify-json/lucide`')
  const suffix = names ? `-${[...names].sort().join('-')}` : ''
  const folder = resolve('runs', `icons-${encoder.id.slice(0, 8)}${suffix}`)
  const served = new OpeningCollection('icons', Collection.openOrCreate(folder, encoder))
  const versions = JSON.stringify(sets.map(({ set, version, total }) => [set, version, total]))
  const stop = new AbortController()
  let progress: IndexingProgress | undefined

  const facetsOf = (collection: Collection) =>
    collectionFacets(collection, {
      fields: ['set', 'style', 'licence'],
      titles: { set: new Map(sets.map(({ set, name }) => [set, name])) },
    })
  const facets = served.opened.then(facetsOf)
  facets.catch(() => undefined)

  const update = async (say: (line: string) => void) => {
    const collection = await served.opened
    // The icons are read again only when a set was added, removed or updated since.
    if ((await readFile(`${folder}.versions.json`, 'utf8').catch(() => '')) === versions && collection.count > 0) return
    const source = await openSource('icons', { sets: names })
    progress = { done: 0, total: source.total, rate: 0, failed: 0 }
    const report = await collection.index(source.items(), {
      total: source.total,
      removeMissing: true,
      signal: stop.signal,
      onProgress: ({ done, total, rate, secondsLeft, skipped }) => {
        progress = { done, total, rate, secondsLeft, failed: skipped }
      },
    })
    progress = undefined
    if (report.stopped) return
    await writeAtomic(`${folder}.versions.json`, versions)
    say(
      `${collection.count} icons are searchable (${report.indexed} indexed in ${duration(report.seconds)}, ${Math.round(report.rate)}/s, ${report.skipped.length} skipped)`,
    )
  }
  return {
    served: {
      collection: served,
      indexing: () => progress,
      facets: async () => (served.count > 0 ? (await facets)() : {}),
    },
    start: async say => {
      await update(say).catch((error: Error) => {
        const message = error.message.split('\n')[0]
        progress = { ...(progress ?? { done: 0, rate: 0, failed: 0 }), error: message }
        say(`indexing stopped: ${message}`)
      })
    },
    stop: () => stop.abort(),
  }
}
