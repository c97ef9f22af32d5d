import { basename, dirname, join } from 'node:path'
import type { Command } from 'commander'
import { classifyTask } from '../classify-task.ts'
import { asUserError } from '../options.ts'
import { segmentTask } from '../segment-task.ts'
import { UserError } from '../user-error.ts'

interface ExportFlags {
  readonly to: string
  readonly output: string
  readonly beside: boolean
  readonly json: boolean
}

export function addExport(program: Command): void {
  program
    .command('export')
    .description('write a trained model as a plain ONNX file')
    .argument('<model>', 'a model written by `tenet train`')
    .requiredOption('--to <file>', 'the ONNX file to write')
    .option('--output <name>', 'what the file computes: logits or probabilities', 'logits')
    .option('--beside', 'write the weights to a data file beside the model', false)
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  tenet export runs/fashion-mnist-resnet-0/model.safetensors --to shoes.onnx')
    .action(async (model: string, { to, output, beside, json }: ExportFlags) => {
      const { readCheckpoint, writeAtomic } = await import('../../train/index.ts')
      if (output !== 'logits' && output !== 'probabilities')
        throw new UserError(`--output is logits or probabilities, not '${output}'`)
      const written = await asUserError(async () => {
        const { state } = await readCheckpoint(model)
        const options = { output, dataLocation: beside ? `${basename(to)}.data` : undefined } as const
        const { exported, card } =
          state.kind === 'segmenter'
            ? await exportedSegmenter(model, options)
            : await exportedClassifier(model, options)
        // The data first: a model file that is there can be read.
        if (exported.data && exported.dataLocation)
          await writeAtomic(join(dirname(to), exported.dataLocation), exported.data)
        await writeAtomic(to, exported.model)
        return {
          file: to,
          data: exported.dataLocation,
          bytes: exported.model.length,
          nodes: exported.nodes,
          card,
          each: state.kind === 'segmenter' ? [...card.size] : [],
        }
      })
      const { card, each, ...facts } = written
      const input = { name: 'images', shape: ['batch', card.channels, ...card.size], normalisation: card.normalisation }
      if (json) console.log(JSON.stringify({ ...facts, input, output, classes: card.classes }))
      else
        console.log(
          `${to}: ${facts.nodes} nodes, ${(facts.bytes / 1e6).toFixed(2)} MB; input images [${input.shape.join(', ')}], output ${output} [${['batch', card.classes.length, ...each].join(', ')}]`,
        )
    })
}

interface ExportOptions {
  readonly output: 'logits' | 'probabilities'
  readonly dataLocation?: string
}

async function exportedClassifier(model: string, options: ExportOptions) {
  const { exportClassifier, loadClassifier } = await classifyTask()
  const classifier = await loadClassifier(model)
  return { exported: exportClassifier(classifier, options), card: classifier.card }
}

async function exportedSegmenter(model: string, options: ExportOptions) {
  const { exportSegmenter, loadSegmenter } = await segmentTask()
  const segmenter = await loadSegmenter(model)
  return { exported: exportSegmenter(segmenter, options), card: segmenter.card }
}
