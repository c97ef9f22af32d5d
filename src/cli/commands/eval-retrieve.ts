import { join } from 'node:path'
import type { Command } from 'commander'
import type { IconItem } from '../../data/icons/index.ts'
import type {
  Gallery,
  IconSetKind,
  NamedItem,
  QuerySet,
  Ranker,
  SetReport,
  ShownItem,
} from '../../tasks/retrieve/evaluation/index.ts'
import type { RetrievalEncoder } from '../../tasks/retrieve/index.ts'
import { asUserError, wholeNumber } from '../options.ts'
import { ProgressBar } from '../progress.ts'
import { printTable } from '../table.ts'
import { UserError } from '../user-error.ts'

interface Flags {
  readonly queries?: string
  readonly sets?: string
  readonly icons?: string
  readonly model?: string
  readonly baselinesOnly: boolean
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
    .option('--queries <file>', 'measure these queries only: one {"text"|"image", "relevant": […]} a line')
    .option('--sets <kinds>', 'of names, aliases, emoji, concepts and sketches, with commas (default: all)')
    .option('--icons <sets>', 'prefixes of the icon sets that are searched, with commas (default: those trained on)')
    .option('--model <file>', 'an encoder written by `tenet train retrieve` (default: the one that comes with Tenet)')
    .option('--baselines-only', 'measure only what the encoder is compared with', false)
    .option('--limit <n>', 'most queries of a set', wholeNumber(1), 300)
    .option('--seed <n>', 'decides which queries, and the intervals', wholeNumber(0), 0)
    .option('--into <folder>', 'where the report, the chart and the page of failures go', join('runs', 'eval-retrieve'))
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExample:\n  tenet eval retrieve --queries demo/queries.jsonl\n  tenet eval retrieve --sets aliases,sketches --limit 500',
    )
    .action((flags: Flags) => evalRetrieve(flags))
}

const listed = (text: string): string[] =>
  text
    .split(',')
    .map(part => part.trim())
    .filter(Boolean)

async function kindsOf(sets: string | undefined): Promise<IconSetKind[]> {
  const { iconSetKinds } = await import('../../tasks/retrieve/evaluation/index.ts')
  if (sets === undefined) return [...iconSetKinds]
  const unknown = listed(sets).filter(kind => !(iconSetKinds as readonly string[]).includes(kind))
  if (unknown.length > 0) throw new UserError(`--sets knows ${iconSetKinds.join(', ')}, not '${unknown[0]}'`)
  return iconSetKinds.filter(kind => listed(sets).includes(kind))
}

async function readIcons(flags: Flags): Promise<{ searched: IconItem[]; unseen: IconItem[] }> {
  const { icons, installedSets, trainingSets, unseenSets } = await import('../../data/icons/index.ts')
  const installed = new Set(installedSets())
  const wanted = flags.icons ? listed(flags.icons) : trainingSets.filter(set => installed.has(set))
  if (wanted.length === 0)
    throw new UserError(
      'no icon set is installed; run `npm install` in the demo workspace, or name installed ones with --icons',
    )
  return asUserError(async () => ({
    searched: [...icons({ sets: wanted })],
    unseen: [...icons({ sets: unseenSets.filter(set => installed.has(set) && !wanted.includes(set)) })],
  }))
}

const namesOf = ({ words, aliases }: IconItem): string[] => [words, ...aliases]

/** The encoder's rankings, then those of what people have today, for words and for pictures. */
async function rankersFor(
  texts: readonly NamedItem[],
  gallery: Gallery,
  encoder: RetrievalEncoder | undefined,
): Promise<Ranker[]> {
  const { encoderRanker, fullTextRanker, gradientRanker, pixelRanker, substringRanker } = await import(
    '../../tasks/retrieve/evaluation/index.ts'
  )
  const ids = gallery.items.map(({ id }) => id)
  const { vectors } = gallery
  return [
    ...(encoder && vectors
      ? [
          encoderRanker('encoder', encoder, vectors, { names: 0.5, images: 0.5 }),
          encoderRanker('encoder, pictures alone', encoder, vectors, { names: 0, images: 1 }),
        ]
      : []),
    substringRanker(texts),
    fullTextRanker(texts),
    pixelRanker(ids, gallery.thumbnails),
    gradientRanker(ids, gallery.thumbnails),
  ]
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

async function makeSets(
  flags: Flags,
  icons: { searched: IconItem[]; unseen: IconItem[] },
  draw: Parameters<typeof import('../../tasks/retrieve/evaluation/index.ts').iconQuerySets>[1]['draw'],
): Promise<QuerySet[]> {
  const { iconQuerySets, readQueryFile } = await import('../../tasks/retrieve/evaluation/index.ts')
  if (flags.queries === undefined)
    return iconQuerySets(await kindsOf(flags.sets), { gallery: icons.searched, unseen: icons.unseen, draw }, flags)
  const named = icons.searched.map(item => ({ id: item.id, names: namesOf(item) }))
  const { set, unanswerable } = await readQueryFile(flags.queries, named)
  if (unanswerable.length > 0 && !flags.json)
    console.error(
      `left out, since no item is relevant: ${unanswerable.slice(0, 10).join(', ')}${unanswerable.length > 10 ? ' …' : ''}`,
    )
  return [set]
}

async function evalRetrieve(flags: Flags): Promise<void> {
  const { SvgRasterizer } = await import('../../data/svg/index.ts')
  const { evaluateSet, iconDrawer, numbersOf, readGallery, writeEvaluation } = await import(
    '../../tasks/retrieve/evaluation/index.ts'
  )
  const { loadEncoder } = await import('../../tasks/retrieve/index.ts')
  await kindsOf(flags.sets)
  const encoder = flags.baselinesOnly ? undefined : await asUserError(() => loadEncoder(flags.model))
  const icons = await readIcons(flags)
  const rasterizer = await SvgRasterizer.create()
  try {
    const sets = await asUserError(() => makeSets(flags, icons, iconDrawer(rasterizer)))
    const bar = new ProgressBar('{what} {bar} {value}/{total}', { silent: flags.json })
    const reports: SetReport[] = []
    try {
      const gallery = await readGallery(icons.searched, rasterizer, encoder, (done, total) =>
        bar.update(done, total, { what: 'drawing and encoding' }),
      )
      const names = icons.searched.map(item => ({ id: item.id, names: flags.queries ? namesOf(item) : [item.words] }))
      const rankers = await rankersFor(names, gallery, encoder)
      for (const set of sets)
        reports.push(
          await evaluateSet(set, rankers, {
            seed: flags.seed,
            onProgress: (done, total) => bar.update(done, total, { what: set.id }),
          }),
        )
    } finally {
      bar.stop()
    }
    const shown = new Map<string, ShownItem>(
      [...icons.searched, ...icons.unseen].map(({ id, svg }) => [id, { name: id, svg }]),
    )
    await asUserError(() => writeEvaluation(flags.into, sets, reports, id => shown.get(id)))
    if (flags.json) console.log(JSON.stringify({ sets: numbersOf(reports), into: flags.into }))
    else {
      printReports(reports)
      console.log(`\nWhat went wrong, in pictures: ${join(flags.into, 'failures.html')}`)
    }
  } finally {
    await rasterizer.close()
    await encoder?.close()
  }
}
