import type { Command } from 'commander'
import { classifyTask } from '../classify-task.ts'
import { asUserError } from '../options.ts'
import { ProgressBar } from '../progress.ts'
import { UserError } from '../user-error.ts'
import { addEvalRetrieve } from './eval-retrieve.ts'
import { addEvalSegment } from './eval-segment.ts'
import { printReport } from './train.ts'

interface EvalFlags {
  readonly model: string
  readonly data: string
  readonly part: string
  readonly device?: string
  readonly json: boolean
}

export function addEval(program: Command): void {
  const evaluate = program.command('eval').description('measure a model')
  addEvalRetrieve(evaluate)
  addEvalSegment(evaluate)
  evaluate
    .command('classify')
    .description('measure a classifier on labelled pictures')
    .requiredOption('--model <file>', 'a model written by `tenet train classify`')
    .requiredOption(
      '--data <name|folder>',
      "'fashion-mnist', 'icons', 'emoji', 'glyphs', or a folder with one folder of pictures a class",
    )
    .option('--part <name>', 'train, validation or test', 'test')
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExample:\n  tenet eval classify --model runs/fashion-mnist-resnet-0/model.safetensors --data fashion-mnist',
    )
    .action(async ({ model, data: source, part, device, json }: EvalFlags) => {
      const { loadClassifier, openClassificationData, predictAll, scorePredictions } = await classifyTask()
      if (part !== 'train' && part !== 'validation' && part !== 'test')
        throw new UserError(`--part is train, validation or test, not '${part}'`)
      const bar = new ProgressBar('measuring {bar} {value}/{total}', { silent: json })
      const report = await asUserError(async () => {
        const classifier = await loadClassifier(model, device)
        const { size, channels, classes, normalisation } = classifier.card
        const data = await openClassificationData(source, { size: size[0], channels: channels as 1 | 3 })
        const unknown = data.classes.filter(name => !classes.includes(name))
        if (unknown.length || data.classes.join('\n') !== classes.join('\n'))
          throw new Error(
            `the data's classes (${data.classes.slice(0, 5).join(', ')} …) are not the model's (${classes.slice(0, 5).join(', ')} …)`,
          )
        const predictions = await predictAll(
          images => classifier.probabilities(images),
          data[part],
          normalisation,
          (done, total) => bar.update(done, total),
        )
        bar.stop()
        return scorePredictions(predictions, classes)
      })
      if (json) console.log(JSON.stringify(report))
      else printReport(report)
    })
}
