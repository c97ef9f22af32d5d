import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { IconItem } from '../../data/icons/index.ts'
import type { SvgRasterizer } from '../../data/svg/index.ts'
import type { Collection, SourceItem } from '../../search/index.ts'
import type { IconSetKind, NamedItem, QuerySet, Ranker, SetReport } from '../../tasks/retrieve/evaluation/index.ts'
import type { RetrievalEncoder } from '../../tasks/retrieve/index.ts'
import { encoderOption, openEncoder, openEncoderOf } from '../encoders.ts'
import { asUserError, commaList, wholeNumber } from '../options.ts'
import { ProgressBar } from '../progress.ts'
import { printTable } from '../table.ts'
import { UserError } from '../user-error.ts'

interface Flags {
  readonly collection?: string
  readonly queries?: string
  readonly sets?: string[]
  readonly icons?: string[]
  readonly encoder?: string
  /** What `encoder` was called before. */
  readonly model?: string
  readonly baselinesOnly: boolean
  readonly wholeGallery: boolean
  readonly limit: number
  readonly seed: number
  readonly into: string
  readonly json: boolean
}

/** Adds `retrieve` to the verb `eval`. */
export function addEvalRetrieve(evaluate: Command): void {
  evaluate
    .command('retrieve')
    .description('measure search: held-out words, other languages, other sets, sketches, or your own queries')
    .option('--collection <folder>', 'measure this collection, made by `tenet index`, and not the encoder alone')
    .option('--queries <file>', 'measure these queries only: one {"text"|"image", "relevant": […]} a line')
    .option('--sets <kinds>', 'of names, aliases, emoji, concepts and sketches, with commas (default: all)', commaList)
    .option(
      '--icons <sets>',
      "prefixes of the icon sets searched, with commas (default: the collection's, or those trained on)",
      commaList,
    )
    .option(
      encoderOption.flags,
      `${encoderOption.describes} (default: the one that made the collection, or that comes with Tenet)`,
    )
    .addOption(new Option('--model <file>').hideHelp())
    .option('--baselines-only', 'measure only what an encoder is compared with', false)
    .option(
      '--whole-gallery',
      'look for aliases and emoji words among all icons, not those of held-out concepts',
      false,
    )
    .option('--limit <n>', 'most queries of a set', wholeNumber(1), 300)
    .option('--seed <n>', 'decides which queries, and the intervals', wholeNumber(0), 0)
    .option('--into <folder>', 'where the report, the chart and the page of failures go', join('runs', 'eval-retrieve'))
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nAliases and emoji words are asked of a collection without them, which is made in the --into folder.\n\nExamples:\n  tenet eval retrieve --collection icons --queries demo/queries.jsonl\n  tenet eval retrieve --sets aliases,sketches --limit 500\n  tenet eval retrieve --encoder hf:Xenova/clip-vit-base-patch32 --sets names',
    )
    .action((flags: Flags) => evalRetrieve(flags))
}

async function kindsOf(sets: readonly string[] | undefined): Promise<IconSetKind[]> {
  const { iconSetKinds } = await import('../../tasks/retrieve/evaluation/index.ts')
  if (sets === undefined) return [...iconSetKinds]
  const unknown = sets.filter(kind => !(iconSetKinds as readonly string[]).includes(kind))
  if (unknown.length > 0) throw new UserError(`--sets knows ${iconSetKinds.join(', ')}, not '${unknown[0]}'`)
  return iconSetKinds.filter(kind => sets.includes(kind))
}

interface Icons {
  readonly searched: readonly IconItem[]
  readonly unseen: readonly IconItem[]
}

/** The icons that are searched; none where a collection holds something else. */
async function readIcons(flags: Flags, collection: Collection | undefined): Promise<Icons> {
  const { icons, installedSets, trainingSets, unseenSets } = await import('../../data/icons/index.ts')
  const installed = new Set(installedSets())
  const held = collection?.facets(['set'], 1000)['set'].map(({ value }) => value)
  const wanted = flags.icons ?? (held ?? trainingSets).filter(set => installed.has(set))
  if (wanted.length === 0 && (!collection || flags.queries === undefined))
    throw new UserError(
      'no installed icon set is searched; install the demo workspace, or measure a collection with --queries',
    )
  const unseen = unseenSets.filter(set => installed.has(set) && !wanted.includes(set))
  return asUserError(async () => {
    // One gallery for all: what a collection lacks cannot be found in it.
    const searched = Array.from(icons({ sets: wanted }))
    const ids = collection && new Set((await collectionItems(collection)).map(({ id }) => id))
    return { searched: ids ? searched.filter(({ id }) => ids.has(id)) : searched, unseen: [...icons({ sets: unseen })] }
  })
}

/** Everything in a collection by the names that it goes by. */
async function collectionItems(collection: Collection): Promise<NamedItem[]> {
  const items: NamedItem[] = []
  const page = 2000
  while (items.length < collection.count) {
    const { results } = await collection.search({ top: page, offset: items.length })
    if (results.length === 0) break
    items.push(...results.map(({ id, name, texts }) => ({ id, names: [name, ...texts] })))
  }
  return items
}

/** An icon with its name as its only text: what it is asked by is not written on it. */
function bareItem({ id, name, words, svg }: IconItem): SourceItem {
  const fingerprint = createHash('sha1').update(`names alone\n${words}\n${svg}`).digest('hex')
  return { id, name, texts: [words], image: { svg }, metadata: {}, fingerprint }
}

/** Runs with everything open that measuring needs, and closes it. */
class Evaluation {
  readonly #flags: Flags
  readonly #bar: ProgressBar
  readonly #closers: (() => Promise<void>)[] = []

  constructor(flags: Flags) {
    this.#flags = flags
    this.#bar = new ProgressBar('{what} {bar} {value}/{total}', { silent: flags.json })
  }

  async run(): Promise<void> {
    const flags = this.#flags
    const kinds = await kindsOf(flags.sets)
    const encoder = flags.baselinesOnly ? undefined : await this.#encoder()
    const collection = encoder && flags.collection ? await this.#collection(flags.collection, encoder) : undefined
    const icons = await readIcons(flags, collection)
    const { SvgRasterizer } = await import('../../data/svg/index.ts')
    const rasterizer = await SvgRasterizer.create()
    this.#closers.push(() => rasterizer.close())
    const sets = await asUserError(() => this.#sets(kinds, icons, collection, rasterizer))
    const rankersOf = await this.#rankers(sets, icons, encoder, collection, rasterizer)
    const { evaluateSet } = await import('../../tasks/retrieve/evaluation/index.ts')
    const reports: SetReport[] = []
    for (const set of sets) {
      const onProgress = (done: number, total: number) => this.#bar.update(done, total, { what: set.id })
      reports.push(await evaluateSet(set, rankersOf(set), { seed: flags.seed, onProgress }))
    }
    this.#bar.stop()
    await this.#report(sets, reports, icons)
  }

  async close(): Promise<void> {
    this.#bar.stop()
    for (const close of this.#closers.reverse()) await close()
  }

  async #encoder(): Promise<RetrievalEncoder> {
    const { collection, encoder: given, model } = this.#flags
    const source = given ?? model
    const encoder = await asUserError(() =>
      collection === undefined ? openEncoder(source) : openEncoderOf(collection, source),
    )
    this.#closers.push(() => encoder.close())
    return encoder
  }

  async #collection(folder: string, encoder: RetrievalEncoder): Promise<Collection> {
    const { Collection } = await import('../../search/index.ts')
    const collection = await asUserError(() => Collection.open(folder, encoder))
    this.#closers.push(() => collection.close())
    return collection
  }

  async #sets(
    kinds: IconSetKind[],
    icons: Icons,
    collection: Collection | undefined,
    rasterizer: SvgRasterizer,
  ): Promise<QuerySet[]> {
    const { iconDrawer, iconQuerySets, readQueryFile } = await import('../../tasks/retrieve/evaluation/index.ts')
    const { queries, json } = this.#flags
    if (queries === undefined) {
      const draw = iconDrawer(rasterizer)
      const sources = { withheld: this.#withheld(icons), gallery: icons.searched, unseen: icons.unseen, draw }
      return iconQuerySets(kinds, sources, this.#flags)
    }
    const { set, unanswerable } = await readQueryFile(queries, await searchable(icons, collection))
    if (unanswerable.length > 0 && !json)
      console.error(`left out, since no item is relevant: ${shortList(unanswerable)}`)
    return [set]
  }

  /** What aliases and emoji words are looked for in. */
  #withheld({ searched }: Icons): readonly IconItem[] {
    return this.#flags.wholeGallery ? searched : searched.filter(({ split }) => split === 'test')
  }

  /** The one in question first, then what people have today. */
  async #rankers(
    sets: readonly QuerySet[],
    icons: Icons,
    encoder: RetrievalEncoder | undefined,
    collection: Collection | undefined,
    rasterizer: SvgRasterizer,
  ): Promise<(set: QuerySet) => Ranker[]> {
    const { collectionRanker, fullTextRanker, substringRanker } = await import(
      '../../tasks/retrieve/evaluation/index.ts'
    )
    const bareNames = (items: readonly IconItem[]) => items.map(({ id, words }) => ({ id, names: [words] }))
    const wordRankers = (items: readonly NamedItem[]) => [substringRanker(items), fullTextRanker(items)]
    const words = wordRankers(this.#flags.queries ? await searchable(icons, collection) : bareNames(icons.searched))
    const alone = collection ? undefined : encoder
    const drawn = await this.#drawnRankers(sets, icons.searched, alone, rasterizer)
    const own = collection ? [collectionRanker('collection', collection)] : drawn.encoder
    const usual = [...own, ...words, ...drawn.baselines]
    if (!sets.some(asksWithheld)) return () => usual
    const items = this.#withheld(icons)
    const bare =
      collection && encoder
        ? [collectionRanker('collection', await this.#bareCollection(items, encoder, rasterizer))]
        : (await this.#drawnRankers(sets, items, alone, rasterizer)).encoder
    const withheld = [...bare, ...wordRankers(bareNames(items))]
    return set => (asksWithheld(set) ? withheld : usual)
  }

  /** What ranks by pictures; nothing is drawn where nothing needs it. */
  async #drawnRankers(
    sets: readonly QuerySet[],
    items: readonly IconItem[],
    alone: RetrievalEncoder | undefined,
    rasterizer: SvgRasterizer,
  ): Promise<{ encoder: Ranker[]; baselines: Ranker[] }> {
    const { encoderRanker, gradientRanker, pixelRanker, readGallery } = await import(
      '../../tasks/retrieve/evaluation/index.ts'
    )
    const asksPictures = sets.some(({ queries }) => queries.some(({ image }) => image !== undefined))
    if ((!alone && !asksPictures) || items.length === 0) return { encoder: [], baselines: [] }
    const { thumbnails, vectors } = await readGallery(items, rasterizer, alone, (done, total) =>
      this.#bar.update(done, total, { what: alone ? 'drawing and encoding' : 'drawing' }),
    )
    const ids = items.map(({ id }) => id)
    return {
      encoder:
        alone && vectors
          ? [
              encoderRanker('encoder', alone, vectors, { names: 0.5, images: 0.5 }),
              encoderRanker('encoder, pictures alone', alone, vectors, { names: 0, images: 1 }),
            ]
          : [],
      baselines: [pixelRanker(ids, thumbnails), gradientRanker(ids, thumbnails)],
    }
  }

  /** A collection of the same icons with names alone, made once for a folder and an encoder. */
  async #bareCollection(
    items: readonly IconItem[],
    encoder: RetrievalEncoder,
    rasterizer: SvgRasterizer,
  ): Promise<Collection> {
    const { Collection } = await import('../../search/index.ts')
    const folder = join(this.#flags.into, `names-alone-${encoder.id.slice(0, 12)}`)
    return asUserError(async () => {
      const bare = await Collection.openOrCreate(folder, encoder)
      this.#closers.push(() => bare.close())
      await bare.index(items.map(bareItem), {
        total: items.length,
        removeMissing: true,
        rasterizer,
        onProgress: ({ done, total = done }) => this.#bar.update(done, total, { what: 'indexing names alone' }),
      })
      return bare
    })
  }

  async #report(sets: readonly QuerySet[], reports: readonly SetReport[], icons: Icons): Promise<void> {
    const { numbersOf, writeEvaluation } = await import('../../tasks/retrieve/evaluation/index.ts')
    const { into, json } = this.#flags
    const svgs = new Map([...icons.searched, ...icons.unseen].map(({ id, svg }) => [id, svg]))
    await asUserError(() => writeEvaluation(into, sets, reports, id => ({ name: id, svg: svgs.get(id) })))
    if (json) console.log(JSON.stringify({ sets: numbersOf(reports), into }))
    else {
      printReports(reports)
      console.log(`\nWhat went wrong, in pictures: ${join(into, 'failures.html')}`)
    }
  }
}

/** Whether a set asks by words that are on the items of a whole collection. */
const asksWithheld = ({ id }: QuerySet): boolean => id === 'aliases' || id.startsWith('emoji-')

const shortList = (texts: readonly string[]): string =>
  `${texts.slice(0, 10).join(', ')}${texts.length > 10 ? ' …' : ''}`

/** What relevance is judged by: names and aliases of icons, the texts of other items. */
async function searchable(icons: Icons, collection: Collection | undefined): Promise<NamedItem[]> {
  if (collection && icons.searched.length === 0) return collectionItems(collection)
  return icons.searched.map(({ id, words, aliases }) => ({ id, names: [words, ...aliases] }))
}

function printReports(reports: readonly SetReport[]): void {
  const columns = ['R@1', 'R@5', 'R@10', 'P@10', 'MRR', 'nDCG@10'] as const
  for (const { title, queries, rankers } of reports) {
    console.log(`\n${title} (${queries} queries; 95 % intervals)`)
    printTable(
      ['', ...columns, 'ms'],
      rankers.map(({ ranker, measures, milliseconds }) => [
        ranker,
        ...columns.map(column => {
          const { estimate, low, high } = measures[column]
          return `${estimate.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`
        }),
        milliseconds.toFixed(1),
      ]),
    )
    printKinds(rankers)
  }
}

function printKinds(rankers: SetReport['rankers']): void {
  const kinds = Object.entries(rankers[0]?.kinds ?? {})
  if (kinds.length < 2) return
  console.log('R@10 / P@10 by kind')
  printTable(
    ['', ...kinds.map(([kind, { queries }]) => `${kind} (${queries})`)],
    rankers.map(({ ranker, kinds: of }) => [
      ranker,
      ...kinds.map(([kind]) => `${of[kind]['R@10'].toFixed(2)} / ${of[kind]['P@10'].toFixed(2)}`),
    ]),
  )
}

async function evalRetrieve(flags: Flags): Promise<void> {
  const evaluation = new Evaluation(flags)
  try {
    await evaluation.run()
  } finally {
    await evaluation.close()
  }
}
