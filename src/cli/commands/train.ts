import { join } from 'node:path'
import type { Command } from 'commander'
import type { ClassificationReport } from '../../tasks/classify/index.ts'
import { classifyTask } from '../classify-task.ts'
import { openInBrowser } from '../open-in-browser.ts'
import { asUserError, jsonObject, realNumber, wholeNumber } from '../options.ts'
import { duration, ProgressBar } from '../progress.ts'
import { trainingSession } from '../training-session.ts'
import { addTrainRetrieve } from './train-retrieve.ts'
import { addTrainSegment } from './train-segment.ts'

interface TrainFlags {
  readonly data: string
  readonly model: string
  readonly into?: string
  readonly epochs?: number
  readonly batchSize?: number
  readonly learningRate?: number
  readonly weightDecay?: number
  readonly size?: number
  readonly channels?: number
  readonly options?: Record<string, unknown>
  readonly seed: number
  readonly limit?: number
  readonly workers?: number
  readonly patience?: number
  readonly augment: boolean
  readonly resume: boolean
  readonly device?: string
  readonly checkpointSeconds?: number
  readonly checkpointBatches?: number
  readonly open: boolean
  readonly json: boolean
}

export function addTrain(program: Command): void {
  const train = program.command('train').description('train a model')
  train
    .command('classify')
    .description('train a classifier of pictures')
    .requiredOption(
      '--data <name|folder>',
      "'fashion-mnist', 'icons', 'emoji', 'glyphs', or a folder with one folder of pictures a class",
    )
    .option('--model <name>', 'cnn, resnet, vit or a system (see `tenet systems`)', 'resnet')
    .option('--options <json>', 'options of the model, such as {"dim":128,"depth":6}', jsonObject)
    .option('--into <folder>', 'folder of the run (default: runs/<data>-<model>-<seed>)')
    .option('--epochs <n>', 'passes over the data', wholeNumber(1))
    .option('--batch-size <n>', 'pictures a step', wholeNumber(1))
    .option('--learning-rate <x>', 'peak learning rate', realNumber(0))
    .option('--weight-decay <x>', 'decoupled weight decay', realNumber(0))
    .option('--size <n>', 'side that folder pictures are brought to (default: 64)', wholeNumber(8))
    .option('--channels <n>', 'read folder pictures as grey (1) or colour (3)', wholeNumber(1))
    .option('--seed <n>', 'decides weights, order and augmentation', wholeNumber(0), 0)
    .option('--limit <n>', 'train on about so many pictures only, evenly from each class', wholeNumber(1))
    .option('--workers <n>', 'threads that prepare batches', wholeNumber(0))
    .option('--patience <n>', 'stop after so many epochs without improvement', wholeNumber(1))
    .option('--no-augment', 'train on the pictures as they are')
    .option('--resume', 'continue from the folder’s last checkpoint', false)
    .option('--checkpoint-seconds <n>', 'seconds between checkpoints (default: 30)', realNumber(0))
    .option('--checkpoint-batches <n>', 'batches between checkpoints, instead of seconds', wholeNumber(1))
    .option('--device <name>', 'see `tenet devices`')
    .option('--open', 'show the report in the browser', false)
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet train classify --data fashion-mnist --model vit --epochs 10\n  tenet train classify --data pictures/ --size 96 --resume',
    )
    .action((flags: TrainFlags) => trainClassify(flags))
  addTrainSegment(train)
  addTrainRetrieve(train)
}

async function trainClassify(flags: TrainFlags): Promise<void> {
  const { openClassificationData, trainClassifier, writeReport } = await classifyTask()
  const { json, data: source, model, seed } = flags
  const folder =
    flags.into ?? join('runs', `${source.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '')}-${model}-${seed}`)
  const reading = new ProgressBar('reading pictures {bar} {value}/{total}', { silent: json })
  const data = await asUserError(() =>
    openClassificationData(source, {
      size: flags.size,
      channels: flags.channels as 1 | 3 | undefined,
      seed,
      onProgress: (done, total) => reading.update(done, total),
    }),
  )
  reading.stop()
  const session = trainingSession(['loss', 'accuracy'], json)
  const { say } = session
  for (const { name, reason } of data.skipped) say(`skipped ${name}: ${reason}`)
  for (const warning of data.warnings) say(warning)
  say(
    `${data.train.length} pictures to train on, ${data.validation.length} to validate, ${data.test.length} to test; ${data.classes.length} classes`,
  )
  try {
    const result = await asUserError(() =>
      trainClassifier(data, folder, {
        ...flags,
        modelOptions: flags.options,
        ...session.options,
        onSkip: ({ name, reason }) => session.note(`skipped ${name}: ${reason}`),
      }),
    )
    session.stopBar()
    const { fit, test, path, classifier } = result
    const page = test && (await writeReport(folder, classifier, data.test, test, fit.seconds))
    if (json)
      console.log(
        JSON.stringify({
          folder,
          model: path,
          report: page,
          interrupted: fit.interrupted,
          seconds: fit.seconds,
          epochs: fit.epochs,
          batches: fit.batches,
          history: fit.history,
          best: fit.best,
          test: test?.report,
        }),
      )
    else if (fit.interrupted)
      console.log(`interrupted after ${fit.batches} batches; continue with --resume --into ${folder}`)
    else {
      console.log(`trained in ${duration(fit.seconds)}; the model is ${path}`)
      if (test) printReport(test.report)
      if (page) console.log(`pictures: ${page}`)
      if (page && flags.open) await openInBrowser(page)
    }
  } finally {
    session.end()
  }
}

/** The numbers of an evaluation, for people. */
export function printReport(report: ClassificationReport): void {
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`
  console.log(
    `accuracy ${percent(report.accuracy)} (95 % interval ${percent(report.interval[0])} to ${percent(report.interval[1])}) on ${report.samples} pictures`,
  )
  console.log(
    `negative log-likelihood ${report.negativeLogLikelihood.toFixed(4)}, calibration error ${percent(report.calibrationError)}`,
  )
  const hardest = [...report.perClass].sort((a, b) => a.f1 - b.f1).slice(0, 3)
  console.log(`hardest classes: ${hardest.map(({ name, f1 }) => `${name} (F1 ${f1.toFixed(3)})`).join(', ')}`)
}
