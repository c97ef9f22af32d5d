import type { Command } from 'commander'
import { classifyTask } from '../classify-task.ts'
import { asUserError, wholeNumber } from '../options.ts'

interface PredictFlags {
  readonly model: string
  readonly top: number
  readonly device?: string
  readonly json: boolean
}

interface Prediction {
  readonly file: string
  readonly classes?: readonly { readonly name: string; readonly probability: number }[]
  readonly error?: string
}

export function addPredict(program: Command): void {
  program
    .command('predict')
    .description('say what pictures show')
    .argument('<image...>', 'picture files')
    .requiredOption('--model <file>', 'a model written by `tenet train classify`')
    .option('--top <n>', 'classes to name for each picture', wholeNumber(1), 3)
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  tenet predict shoe.png --model runs/fashion-mnist-resnet-0/model.safetensors')
    .action(async (files: string[], { model, top, device, json }: PredictFlags) => {
      const { loadClassifier, predictFile } = await classifyTask()
      const classifier = await asUserError(() => loadClassifier(model, device))
      const predictions: Prediction[] = []
      for (const file of files) {
        try {
          predictions.push({ file, classes: await predictFile(classifier, file, top) })
        } catch (error) {
          predictions.push({ file, error: (error as Error).message.split('\n')[0] })
        }
      }
      if (json) console.log(JSON.stringify({ predictions }))
      else
        for (const { file, classes, error } of predictions)
          console.log(
            error ??
              `${file}: ${classes!.map(({ name, probability }) => `${name} ${(100 * probability).toFixed(1)} %`).join(', ')}`,
          )
      // Every picture unreadable is the user's mistake; some of many is reported and survived.
      if (predictions.every(p => p.error !== undefined)) process.exitCode = 2
    })
}
