import type { Command } from 'commander'
import { classifyTask } from '../classify-task.ts'
import { asUserError, jsonObject, wholeNumber } from '../options.ts'
import { ProgressBar } from '../progress.ts'

interface EmbedFlags {
  readonly model: string
  readonly into: string
  readonly size?: number
  readonly channels?: number
  readonly options?: Record<string, unknown>
  readonly seed: number
  readonly device?: string
  readonly json: boolean
}

export function addEmbed(program: Command): void {
  program
    .command('embed')
    .description('turn pictures into vectors')
    .argument('<image|folder...>', 'picture files, and folders of them')
    .requiredOption('--model <file|name>', 'a classifier’s file, or a model without training by name')
    .requiredOption('--into <file>', 'where the vectors go: .parquet, .jsonl or .safetensors')
    .option('--size <n>', 'side that pictures are brought to (default: the trained one)', wholeNumber(8))
    .option('--channels <n>', 'of a model without training: grey (1) or colour (3)', wholeNumber(1))
    .option('--options <json>', 'options of a model without training', jsonObject)
    .option('--seed <n>', 'of a model without training', wholeNumber(0), 0)
    .option('--device <name>', 'see `tenet devices`')
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet embed photos/ --model runs/photos-vision-mamba-0/model.safetensors --into photos.parquet\n  tenet embed photos/ --model runs/photos-vision-mamba-0/model.safetensors --size 128 --into photos.jsonl',
    )
    .action(async (paths: string[], flags: EmbedFlags) => {
      const { model, into, size, channels, options, seed, device, json } = flags
      const { embedFiles, openEmbedder, pictureFiles, writeVectors } = await classifyTask()
      const bar = new ProgressBar('embedding {bar} {value}/{total}', { silent: json })
      const { embedded, trained } = await asUserError(async () => {
        const files = await pictureFiles(paths)
        const embedder = await openEmbedder(model, {
          size,
          channels: channels as 1 | 3 | undefined,
          modelOptions: options,
          seed,
          device,
        })
        const result = await embedFiles(embedder, files, {
          device,
          onProgress: (done, total) => bar.update(done, total),
        })
        await writeVectors(result, into)
        return { embedded: result, trained: embedder.trained }
      })
      bar.stop()
      const { files, dim, skipped } = embedded
      if (json) console.log(JSON.stringify({ file: into, pictures: files.length, dim, trained, skipped }))
      else {
        for (const { name, reason } of skipped) console.error(`skipped ${name}: ${reason}`)
        console.log(
          `${into}: ${files.length} vectors of ${dim} numbers${trained ? '' : ' by a model that has not been trained'}`,
        )
      }
    })
}
