import { join } from 'node:path'
import type { Command } from 'commander'
import { asUserError, realNumber, wholeNumber } from '../options.ts'
import { duration } from '../progress.ts'
import { trainingSession } from '../training-session.ts'

interface RetrieveFlags {
  readonly corpus: string
  readonly into?: string
  readonly name: string
  readonly epochs?: number
  readonly batchSize?: number
  readonly textBatch?: number
  readonly learningRate?: number
  readonly seed: number
  readonly resume: boolean
  readonly device?: string
  readonly checkpointSeconds?: number
  readonly json: boolean
}

/** Adds `retrieve` to the verb `train`. */
export function addTrainRetrieve(train: Command): void {
  train
    .command('retrieve')
    .description('train an encoder that puts texts and drawings into one space')
    .requiredOption('--corpus <folder>', 'a corpus made by `tenet corpus icons`')
    .option('--into <folder>', 'folder of the run (default: runs/retrieve-<seed>)')
    .option('--name <name>', 'name of the encoder', 'tenet-icons')
    .option('--epochs <n>', 'passes over the drawings', wholeNumber(1))
    .option('--batch-size <n>', 'drawings a step', wholeNumber(2))
    .option('--text-batch <n>', 'pairs of texts a step', wholeNumber(2))
    .option('--learning-rate <x>', 'peak learning rate', realNumber(0))
    .option('--seed <n>', 'decides weights, order and augmentation', wholeNumber(0), 0)
    .option('--resume', 'continue from the folder’s last checkpoint', false)
    .option('--checkpoint-seconds <n>', 'seconds between checkpoints (default: 30)', realNumber(0))
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExample:\n  tenet corpus icons --into corpus/icons && tenet train retrieve --corpus corpus/icons --resume',
    )
    .action((flags: RetrieveFlags) => trainRetrieve(flags))
}

async function trainRetrieve(flags: RetrieveFlags): Promise<void> {
  const { corpusTexts, readCorpus, trainRetrieval } = await import('../../tasks/retrieve/index.ts')
  const { json, seed } = flags
  const folder = flags.into ?? join('runs', `retrieve-${seed}`)
  const corpus = await asUserError(() => readCorpus(flags.corpus))
  const texts = await asUserError(async () => corpusTexts(corpus))
  const session = trainingSession(['drawings', 'words'], json)
  const parts = (split: string): number => corpus.items.filter(item => item.split === split).length
  session.say(`${parts('train')} drawings to train on, ${parts('validation')} to validate`)
  for (const { name, groups } of texts) session.say(`${groups.length} groups of texts of one meaning: ${name}`)
  try {
    const { fit, path } = await asUserError(() =>
      trainRetrieval(corpus, texts, folder, { ...flags, ...session.options }),
    )
    session.stopBar()
    if (json) console.log(JSON.stringify({ folder, encoder: fit.interrupted ? undefined : path, ...fit }))
    else if (fit.interrupted) console.log(`interrupted after ${fit.batches} batches; continue with --resume`)
    else console.log(`trained in ${duration(fit.seconds)}; the encoder is ${path}`)
  } finally {
    session.end()
  }
}
