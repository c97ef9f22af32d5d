import type { Command } from 'commander'
import { encoderOption, openEncoderOf } from '../encoders.ts'
import { asUserError, commaList } from '../options.ts'
import { duration, ProgressBar } from '../progress.ts'

interface IndexFlags {
  readonly into: string
  readonly encoder?: string
  readonly sets?: string[]
  readonly id?: string
  readonly name?: string
  readonly text?: string[]
  readonly image?: string
  readonly metadata?: string[]
  readonly removeMissing: boolean
  readonly json: boolean
}

/** Skipped items named one by one; of more only the number is told. */
const namedSkips = 10

export function addIndex(program: Command): void {
  program
    .command('index')
    .description('make pictures and texts searchable, or bring a collection up to date')
    .argument('<source>', "a folder of pictures, a table (CSV, JSON lines, Parquet), or 'icons'")
    .requiredOption('--into <collection>', 'folder of the collection; made if there is none')
    .option(
      encoderOption.flags,
      `${encoderOption.describes}; default the one that comes with Tenet, or that made the collection`,
    )
    .option('--sets <names>', 'of icons: only these sets, separated by commas', commaList)
    .option('--id <column>', 'of a table: the column that tells items apart')
    .option('--name <column>', 'of a table: the column to show')
    .option('--text <columns>', 'of a table: columns of texts, separated by commas, best first', commaList)
    .option('--image <column>', 'of a table: pictures, as paths relative to the table, SVG or bytes')
    .option('--metadata <columns>', 'of a table: columns to filter by; default all others', commaList)
    .option('--remove-missing', 'remove items that the source no longer holds', false)
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet index photos/ --into my-photos\n  tenet index products.csv --into shop --text title,description --image photo\n  tenet index icons --sets lucide,tabler --into icons\n  tenet index photos/ --into my-photos --encoder hf:Xenova/clip-vit-base-patch32',
    )
    .action((source: string, flags: IndexFlags) => asUserError(() => indexSource(source, flags)))
}

async function indexSource(name: string, flags: IndexFlags): Promise<void> {
  const { Collection, openSource } = await import('../../search/index.ts')
  const columns = {
    id: flags.id,
    name: flags.name,
    texts: flags.text,
    image: flags.image,
    metadata: flags.metadata,
  }
  const source = await openSource(name, { sets: flags.sets, columns })
  const encoder = await openEncoderOf(flags.into, flags.encoder)
  const collection = await Collection.openOrCreate(flags.into, encoder)
  const bar = new ProgressBar('indexing {bar} {value}/{total}  {rate} items/s  {left} left', { silent: flags.json })
  const controller = new AbortController()
  const stop = () => controller.abort()
  process.once('SIGINT', stop)
  try {
    const report = await collection.index(source.items(), {
      total: source.total,
      removeMissing: flags.removeMissing,
      signal: controller.signal,
      onProgress: ({ done, total = done, rate, secondsLeft }) =>
        bar.update(done, total, {
          rate: rate.toFixed(0),
          left: secondsLeft === undefined ? '?' : duration(secondsLeft),
        }),
    })
    bar.stop()
    const skipped = [...source.skipped, ...report.skipped]
    if (flags.json) console.log(JSON.stringify({ collection: flags.into, count: collection.count, ...report, skipped }))
    else {
      for (const { id, reason } of skipped.slice(0, namedSkips)) console.log(`skipped ${id}: ${reason}`)
      if (skipped.length > namedSkips) console.log(`skipped ${skipped.length - namedSkips} more; --json lists them all`)
      const { withoutPicture } = report
      for (const { id, reason } of withoutPicture.slice(0, namedSkips))
        console.log(`without its picture ${id}: ${reason}`)
      if (withoutPicture.length > namedSkips)
        console.log(`without pictures ${withoutPicture.length - namedSkips} more; --json lists them all`)
      const { indexed, unchanged, removed, seconds, rate, stopped } = report
      console.log(
        `${flags.into}: ${collection.count} items (${indexed} indexed, ${unchanged} unchanged, ${removed} removed, ${skipped.length} skipped) in ${duration(seconds)}, ${rate.toFixed(0)} items/s`,
      )
      if (stopped) console.log('stopped; the same command goes on from here')
    }
    if (report.stopped) process.exitCode = 1
  } finally {
    bar.stop()
    process.off('SIGINT', stop)
    await collection.close()
    await encoder.close()
  }
}
