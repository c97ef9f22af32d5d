import { join } from 'node:path'
import type { Command } from 'commander'
import type { SegmentationReport } from '../../tasks/index.ts'
import { asUserError, jsonObject, realNumber, wholeNumber } from '../options.ts'
import { duration, ProgressBar } from '../progress.ts'
import { segmentTask } from '../segment-task.ts'
import { trainingSession } from '../training-session.ts'

interface TrainSegmentFlags {
  readonly data: string
  readonly model: string
  readonly options?: Record<string, unknown>
  readonly into?: string
  readonly epochs?: number
  readonly batchSize?: number
  readonly learningRate?: number
  readonly weightDecay?: number
  readonly dice?: number
  readonly size?: number
  readonly channels?: number
  readonly seed: number
  readonly patience?: number
  readonly augment: boolean
  readonly resume: boolean
  readonly checkpointSeconds?: number
  readonly device?: string
  readonly json: boolean
}

export function addTrainSegment(train: Command): void {
  train
    .command('segment')
    .description('train a network that labels every pixel')
    .requiredOption('--data <name|folder>', "'scenes', 'cues', or a folder with the folders images and masks")
    .option('--model <name>', 'vm-unet, u-mamba-bot, resnet, vit, or a system with maps of features', 'resnet')
    .option('--options <json>', 'options of the model, such as {"widths":[16,32,64]}', jsonObject)
    .option('--into <folder>', 'folder of the run (default: runs/<data>-<model>-<seed>)')
    .option('--epochs <n>', 'passes over the data', wholeNumber(1))
    .option('--batch-size <n>', 'pictures a step', wholeNumber(1))
    .option('--learning-rate <x>', 'peak learning rate', realNumber(0))
    .option('--weight-decay <x>', 'decoupled weight decay', realNumber(0))
    .option('--dice <x>', 'weight of the Dice loss beside cross-entropy (default: 1)', realNumber(0))
    .option('--size <n>', 'side that pictures are brought to (default: 64)', wholeNumber(8))
    .option('--channels <n>', 'read pictures as grey (1) or colour (3)', wholeNumber(1))
    .option('--seed <n>', 'decides weights, order and augmentation', wholeNumber(0), 0)
    .option('--patience <n>', 'stop after so many epochs without improvement', wholeNumber(1))
    .option('--no-augment', 'train on the pictures as they are')
    .option('--resume', 'continue from the folder’s last checkpoint', false)
    .option('--checkpoint-seconds <n>', 'seconds between checkpoints (default: 30)', realNumber(0))
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet train segment --data scenes --model vit --epochs 5\n  tenet train segment --data scans/ --model vm-unet --size 128',
    )
    .action((flags: TrainSegmentFlags) => trainSegment(flags))
}

async function trainSegment(flags: TrainSegmentFlags): Promise<void> {
  const { openSegmentationData, trainSegmenter } = await segmentTask()
  const { json, data: source, model, seed } = flags
  const name = source.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '')
  const folder = flags.into ?? join('runs', `${name}-${model}-${seed}`)
  const reading = new ProgressBar('reading pictures {bar} {value}/{total}', { silent: json })
  const data = await asUserError(() =>
    openSegmentationData(source, {
      size: flags.size,
      channels: flags.channels as 1 | 3 | undefined,
      onProgress: (done, total) => reading.update(done, total),
    }),
  )
  reading.stop()
  const session = trainingSession(['loss', 'entropy'], json)
  session.say(
    `${data.train.length} pictures to train on, ${data.validation.length} to validate, ${data.test.length} to test; classes ${data.classes.join(', ')}`,
  )
  try {
    const { fit, test, path } = await asUserError(() =>
      trainSegmenter(data, folder, { ...flags, modelOptions: flags.options, ...session.options }),
    )
    session.stopBar()
    if (json)
      console.log(
        JSON.stringify({
          folder,
          model: path,
          interrupted: fit.interrupted,
          seconds: fit.seconds,
          epochs: fit.epochs,
          history: fit.history,
          best: fit.best,
          test,
        }),
      )
    else if (fit.interrupted)
      console.log(`interrupted after ${fit.batches} batches; continue with --resume --into ${folder}`)
    else {
      console.log(`trained in ${duration(fit.seconds)}; the model is ${path}`)
      if (test) printSegmentation(test)
    }
  } finally {
    session.end()
  }
}

/** The numbers of an evaluation, for people. */
export function printSegmentation(report: SegmentationReport): void {
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`
  console.log(
    `mean IoU ${percent(report.meanIou)}, mean Dice ${percent(report.meanDice)}, pixels right ${percent(report.pixelAccuracy)} on ${report.samples} pictures`,
  )
  console.log(`IoU of a picture: 95 % interval of the mean ${report.interval.map(percent).join(' to ')}`)
  if (report.hd95 !== undefined) console.log(`95th percentile of surface distances ${report.hd95.toFixed(2)} px`)
  const hardest = report.perClass.filter(({ iou }) => iou !== null).sort((a, b) => a.iou! - b.iou!)
  console.log(
    `hardest classes: ${hardest
      .slice(0, 3)
      .map(({ name, iou }) => `${name} (IoU ${iou!.toFixed(3)})`)
      .join(', ')}`,
  )
}
