import type { Command } from 'commander'
import { asUserError } from '../options.ts'
import { ProgressBar } from '../progress.ts'
import { segmentTask } from '../segment-task.ts'
import { UserError } from '../user-error.ts'
import { printSegmentation } from './train-segment.ts'

interface EvalSegmentFlags {
  readonly model: string
  readonly data: string
  readonly part: string
  readonly device?: string
  readonly json: boolean
}

export function addEvalSegment(evaluate: Command): void {
  evaluate
    .command('segment')
    .description('measure a segmenter on pictures with masks')
    .requiredOption('--model <file>', 'a model written by `tenet train segment`')
    .requiredOption('--data <name|folder>', "'scenes', 'cues', or a folder with the folders images and masks")
    .option('--part <name>', 'train, validation or test', 'test')
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .action(async ({ model, data: source, part, device, json }: EvalSegmentFlags) => {
      const { evaluateSegmenter, loadSegmenter, openSegmentationData } = await segmentTask()
      if (part !== 'train' && part !== 'validation' && part !== 'test')
        throw new UserError(`--part is train, validation or test, not '${part}'`)
      const bar = new ProgressBar('measuring {bar} {value}/{total}', { silent: json })
      const report = await asUserError(async () => {
        const segmenter = await loadSegmenter(model, device)
        const { size, channels, classes, normalisation } = segmenter.card
        const data = await openSegmentationData(source, { size: size[0], channels: channels as 1 | 3 })
        if (data.classes.join('\n') !== classes.join('\n'))
          throw new Error(
            `the data's classes (${data.classes.slice(0, 5).join(', ')} …) are not the model's (${classes.slice(0, 5).join(', ')} …)`,
          )
        return evaluateSegmenter(images => segmenter.labels(images), data[part], segmenter.card, normalisation, {
          onProgress: (done, total) => bar.update(done, total),
        })
      })
      bar.stop()
      if (json) console.log(JSON.stringify(report))
      else printSegmentation(report)
    })
}
