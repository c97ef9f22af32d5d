import type { Command } from 'commander'
import { classifyTask } from '../classify-task.ts'
import { asUserError, wholeNumber } from '../options.ts'
import { segmentTask } from '../segment-task.ts'
import { UserError } from '../user-error.ts'

interface PredictFlags {
  readonly model: string
  readonly top: number
  readonly into?: string
  readonly size?: number
  readonly device?: string
  readonly json: boolean
}

interface Prediction {
  readonly file: string
  readonly classes?: readonly { readonly name: string; readonly probability: number }[]
  /** Of a segmenter: the files written, and how much of the picture each class takes. */
  readonly written?: readonly string[]
  readonly shares?: readonly { readonly name: string; readonly share: number }[]
  readonly error?: string
}

type Predict = (file: string) => Promise<Omit<Prediction, 'file' | 'error'>>

export function addPredict(program: Command): void {
  program
    .command('predict')
    .description('say what pictures show, or where in them it is')
    .argument('<image...>', 'picture files')
    .requiredOption('--model <file>', 'a model written by `tenet train classify` or `tenet train segment`')
    .option('--top <n>', 'classes to name for each picture', wholeNumber(1), 3)
    .option('--into <folder>', 'folder for the masks of a segmenter')
    .option('--size <n>', 'look at pictures of this side, where the model’s architecture allows', wholeNumber(8))
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet predict shoe.png --model runs/fashion-mnist-resnet-0/model.safetensors\n  tenet predict scan.png --model runs/scans-vm-unet-0/model.safetensors --into masks',
    )
    .action(async (files: string[], flags: PredictFlags) => {
      const predict = await asUserError(() => predictor(flags))
      const predictions: Prediction[] = []
      for (const file of files) {
        try {
          predictions.push({ file, ...(await predict(file)) })
        } catch (error) {
          predictions.push({ file, error: (error as Error).message.split('\n')[0] })
        }
      }
      if (flags.json) console.log(JSON.stringify({ predictions }))
      else for (const prediction of predictions) console.log(described(prediction))
      // Every picture unreadable is the user's mistake; some of many is reported and survived.
      if (predictions.every(p => p.error !== undefined)) process.exitCode = 2
    })
}

/** What the model's file calls for. */
async function predictor({ model, top, into, size, device }: PredictFlags): Promise<Predict> {
  const { readCheckpoint } = await import('../../train/index.ts')
  const { state } = await readCheckpoint(model)
  if (state.kind === 'segmenter') {
    const { loadSegmenter, predictMask, writeMask } = await segmentTask()
    if (!into) throw new UserError(`${model} is a segmenter: say with --into where its masks are to be written`)
    const segmenter = await loadSegmenter(model, device)
    return async file => {
      const mask = await predictMask(segmenter, file)
      return { written: await writeMask(mask, file, into), shares: mask.shares }
    }
  }
  const { loadClassifier, predictFile } = await classifyTask()
  const classifier = await loadClassifier(model, device, size === undefined ? undefined : [size, size])
  return async file => ({ classes: await predictFile(classifier, file, top) })
}

function described({ file, classes, written, shares, error }: Prediction): string {
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`
  if (error !== undefined) return error
  if (classes) return `${file}: ${classes.map(({ name, probability }) => `${name} ${percent(probability)}`).join(', ')}`
  return `${file}: ${(shares ?? []).map(({ name, share }) => `${name} ${percent(share)}`).join(', ')}; ${written?.join(', ')}`
}
