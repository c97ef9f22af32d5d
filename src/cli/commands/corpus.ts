import type { Command } from 'commander'
import { asUserError, commaList, wholeNumber } from '../options.ts'
import { duration, ProgressBar } from '../progress.ts'
import { printTable } from '../table.ts'

interface CorpusFlags {
  readonly sets?: string[]
  readonly size: number
  readonly into: string
  readonly workers?: number
  readonly json: boolean
}

async function corpusIcons({ sets, size, into, workers, json }: CorpusFlags): Promise<void> {
  const { writeIconCorpus } = await import('../../data/icons/index.ts')
  const bar = new ProgressBar('icons [{bar}] {value}/{total} | {rate}/s | {left} left', { silent: json })
  const start = performance.now()
  const onProgress = (done: number, total: number) => {
    const seconds = (performance.now() - start) / 1000
    bar.update(done, total, { rate: (done / seconds).toFixed(0), left: duration(((total - done) / done) * seconds) })
  }
  const stop = new AbortController()
  const interrupt = () => stop.abort(new Error('interrupted; nothing was written.'))
  process.once('SIGINT', interrupt)
  const report = await asUserError(() =>
    writeIconCorpus({
      into,
      size,
      workers,
      sets,
      onProgress,
      signal: stop.signal,
    }),
  ).finally(() => {
    process.off('SIGINT', interrupt)
    bar.stop()
  })
  const seconds = (performance.now() - start) / 1000
  if (json) {
    console.log(JSON.stringify({ into, seconds, ...report }))
    return
  }
  printTable(
    ['set', 'version', 'icons', 'skipped', 'licence', 'author'],
    report.sets.map(set => [set.set, set.version, `${set.icons}`, `${set.skipped}`, set.licence, set.author]),
  )
  const { splits } = report
  console.log(
    `${into}: ${report.items} icons of ${report.concepts} concepts at ${size} x ${size} in ${duration(seconds)} ` +
      `(${Math.round(report.items / seconds)}/s); train ${splits.train}, validation ${splits.validation}, ` +
      `test ${splits.test}, unseen sets ${splits['unseen-set']}`,
  )
  for (const { id, reason } of report.skipped) console.log(`skipped ${id}: ${reason}`)
}

interface LexiconFlags {
  readonly packages: string
  readonly into: string
  readonly languages?: string[]
  readonly json: boolean
}

async function corpusLexicon({ packages, into, languages, json }: LexiconFlags): Promise<void> {
  const { buildIconLexicon } = await import('../../data/lexicon/index.ts')
  const { writeAtomic } = await import('../../train/index.ts')
  const { bytes, terms, sources } = await asUserError(() => buildIconLexicon(packages, languages))
  await asUserError(() => writeAtomic(into, bytes))
  if (json) {
    console.log(JSON.stringify({ into, terms, bytes: bytes.length, sources }))
    return
  }
  printTable(
    ['package', 'licence', 'translations'],
    sources.map(({ package: name, licence, translations }) => [name, licence, `${translations ?? 'not installed'}`]),
  )
  console.log(`${into}: ${terms} terms, ${(bytes.length / 2 ** 20).toFixed(1)} MB`)
}

export function addCorpus(program: Command): void {
  const corpus = program.command('corpus').description('make a data set to train on or to search')
  corpus
    .command('icons')
    .description('icons of installed Iconify sets with their words, drawn small')
    .requiredOption('--into <folder>', 'the folder to make; a corpus that is there is replaced')
    .option(
      '--sets <names>',
      'prefixes with commas between, such as lucide,mdi; by default every installed set',
      commaList,
    )
    .option('--size <pixels>', 'side of the square pictures', wholeNumber(1), 32)
    .option('--workers <n>', 'threads that draw; by default one a core', wholeNumber(1))
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  tenet corpus icons --sets lucide,mdi --into runs/icons')
    .action(corpusIcons)
  corpus
    .command('lexicon')
    .description('what words of many languages are called in English, from published packages')
    .requiredOption('--packages <folder>', 'the node_modules folder that holds them; models/README.md lists them')
    .requiredOption('--into <file>', 'the lexicon to write, such as models/tenet-lexicon.tsv.gz')
    .option('--languages <codes>', 'codes with commas between, such as de,fr; by default about 40', commaList)
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExample:\n  tenet corpus lexicon --packages node_modules --into models/tenet-lexicon.tsv.gz',
    )
    .action(corpusLexicon)
}
