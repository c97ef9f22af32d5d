import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { encoderOption } from '../encoders.ts'
import { asUserError, commaList, realNumber, wholeNumber } from '../options.ts'
import { duration } from '../progress.ts'
import { trainingSession } from '../training-session.ts'
import { UserError } from '../user-error.ts'
import { type PairFlags, trainOnPairs } from './train-pairs.ts'

interface RetrieveFlags extends Omit<PairFlags, 'pairs'> {
  readonly corpus?: string
  readonly pairs?: string
  readonly textBatch?: number
}

/** Adds `retrieve` to the verb `train`. */
export function addTrainRetrieve(train: Command): void {
  train
    .command('retrieve')
    .description('train an encoder that puts texts and pictures into one space: a whole one, or small heads on another')
    .option('--corpus <folder>', 'train a whole encoder on a corpus made by `tenet corpus icons`')
    .option('--pairs <table>', 'train heads on pairs of your own: CSV, JSON lines or Parquet with pictures and texts')
    .option(
      '--from <encoder>',
      `the frozen encoder below the heads: ${encoderOption.describes} (default: the one that comes with Tenet)`,
    )
    .option('--image <column>', 'of the pairs: pictures, as paths relative to the table, SVG or bytes')
    .option(
      '--text <columns>',
      'of the pairs: columns of texts, separated by commas; rows without a picture need two texts',
      commaList,
    )
    .option(
      '--group <column>',
      'of the pairs: rows that belong together and are held out together (default: those of one picture)',
    )
    .addOption(new Option('--head <kind>', 'linear, or a layer more').choices(['linear', 'mlp']).default('linear'))
    .option('--dim <n>', 'length of the vectors of the heads (default: as the encoder’s)', wholeNumber(2))
    .option('--patience <n>', 'of heads: stop after so many passes without improvement (default: 10)', wholeNumber(1))
    .option('--validation <share>', 'of the pairs: share held out to measure on (default: 0.2)', realNumber(0, 0.9))
    .option('--into <folder>', 'folder of the run (default: runs/retrieve-<seed>, or by the name of the pairs)')
    .option('--name <name>', 'name of the encoder (default: tenet-icons, or the name of the pairs)')
    .option('--epochs <n>', 'passes over the drawings or pairs', wholeNumber(1))
    .option('--batch-size <n>', 'drawings or pairs a step', wholeNumber(2))
    .option('--text-batch <n>', 'of a corpus: pairs of texts a step', wholeNumber(2))
    .option('--learning-rate <x>', 'peak learning rate', realNumber(0))
    .option('--seed <n>', 'decides weights, order and augmentation', wholeNumber(0), 0)
    .option('--resume', 'continue from the folder’s last checkpoint', false)
    .option('--checkpoint-seconds <n>', 'seconds between checkpoints (default: 30)', realNumber(0))
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet corpus icons --into corpus/icons && tenet train retrieve --corpus corpus/icons --resume\n  tenet train retrieve --from hf:Xenova/clip-vit-base-patch32 --pairs products.csv --into runs/products\n  tenet index photos/ --into my-photos --encoder runs/products/encoder.safetensors',
    )
    .action((flags: RetrieveFlags) => {
      const { corpus, pairs, ...rest } = flags
      if (pairs !== undefined && corpus === undefined) return trainOnPairs({ ...rest, pairs })
      if (pairs !== undefined || corpus === undefined)
        throw new UserError('give --corpus to train a whole encoder, or --pairs to train heads on one')
      if (flags.from !== undefined) throw new UserError('--from is the encoder below heads that learn from --pairs')
      return trainRetrieve(flags, corpus)
    })
}

async function trainRetrieve(flags: RetrieveFlags, corpusFolder: string): Promise<void> {
  const { readLexicon } = await import('../../data/lexicon/index.ts')
  const { corpusTexts, readCorpus, trainRetrieval } = await import('../../tasks/retrieve/index.ts')
  const { json, seed } = flags
  const folder = flags.into ?? join('runs', `retrieve-${seed}`)
  const corpus = await asUserError(() => readCorpus(corpusFolder))
  const texts = await asUserError(async () => corpusTexts(corpus, (await readLexicon()).entries()))
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
