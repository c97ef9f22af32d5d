import pMap from 'p-map'
import { Augmenter, type AugmentOptions } from './augment.ts'
import { type Dataset, type SampleShape, type Skipped, sampleName, sizeOf } from './dataset.ts'
import { ImageError } from './decode.ts'
import { checkMixOptions, type MixOptions, mixBatch } from './mix.ts'
import type { Normalisation } from './normalise.ts'
import { readSample, type SampleValues, storedSample } from './read-sample.ts'

/** A batch of constant size. Rows without a sample have zero inputs and weight 0. */
export interface Batch {
  /** [batch, ...sample shape] in row-major order, backed by memory of its own. */
  inputs: Float32Array
  shape: readonly number[]
  /** [batch]; 0 in rows without a sample. */
  labels: Int32Array
  /** [batch]; position of each sample in the data set, -1 for padding. */
  indices: Int32Array
  /** [batch]; 1 for a sample, 0 for padding and for a file that could not be read. */
  weights: Float32Array
  /** [batch, classes]; label distributions, present when the loader mixes samples. */
  targets?: Float32Array
  epoch: number
  /** Position of the batch in its epoch, from 0. */
  number: number
  /** Files of this batch that could not be read, and why. */
  skipped: Skipped[]
}

/** How batches are made: plain data, the same in every thread. */
export interface BatchRecipe {
  dataset: Dataset
  batchSize: number
  seed: number
  augment?: AugmentOptions
  normalise?: Normalisation
  mix?: MixOptions
}

/** Which batch to make. */
export interface BatchRequest {
  epoch: number
  number: number
  /** The samples, at most `batchSize`. */
  samples: Int32Array
}

const filesAtOnce = 8

/** Makes batches from a recipe; the same request gives the same bits in any thread. */
export class BatchAssembler {
  /** Shape of one row of `inputs`. */
  readonly sampleShape: SampleShape
  private readonly recipe: BatchRecipe
  private readonly augmenter: Augmenter

  /** @throws Error when an option is out of range or does not fit the data set */
  constructor(recipe: BatchRecipe) {
    const { dataset, seed, augment, normalise, mix } = recipe
    const unit = dataset.source.kind === 'array' && dataset.source.values instanceof Float32Array ? 1 : 255
    this.recipe = recipe
    this.augmenter = new Augmenter(dataset.shape, unit, seed, augment, normalise)
    this.sampleShape = this.augmenter.outputShape
    if (mix) checkMixOptions(mix, this.sampleShape)
  }

  /** @throws Error naming the sample, when making one fails for another reason than an unreadable image */
  async assemble({ epoch, number, samples }: BatchRequest): Promise<Batch> {
    const { dataset, batchSize, seed, mix } = this.recipe
    const size = sizeOf(this.sampleShape)
    const batch: Batch = {
      inputs: new Float32Array(batchSize * size),
      shape: [batchSize, ...this.sampleShape],
      labels: new Int32Array(batchSize),
      indices: new Int32Array(batchSize).fill(-1),
      weights: new Float32Array(batchSize),
      epoch,
      number,
      skipped: [],
    }
    batch.indices.set(samples)
    const outcomes = await this.fillRows(batch, samples)
    const rows: number[] = []
    for (const row of samples.keys()) {
      const skipped = outcomes[row]
      if (skipped) {
        batch.skipped.push(skipped)
        continue
      }
      rows.push(row)
      batch.weights[row] = 1
      batch.labels[row] = dataset.labels[samples[row]]
    }
    if (mix) {
      const draw = { seed, epoch, batch: number }
      batch.targets = mixBatch(
        batch.inputs,
        this.sampleShape,
        batch.labels,
        Int32Array.from(rows),
        dataset.classes.length,
        mix,
        draw,
      )
    }
    return batch
  }

  /** Writes every row; returns, for the rows that have to be left out, the file and the reason. */
  private async fillRows(batch: Batch, samples: Int32Array): Promise<(Skipped | undefined)[]> {
    const { dataset } = this.recipe
    const { source, shape } = dataset
    const size = sizeOf(this.sampleShape)
    const write = ({ values, offset }: SampleValues, index: number, row: number) => {
      this.augmenter.apply(values, offset, batch.inputs, row * size, batch.epoch, index)
    }
    if (source.kind === 'array') {
      for (const [row, index] of samples.entries()) write(storedSample(source, shape, index), index, row)
      return []
    }
    const read = async (index: number, row: number) => {
      try {
        write(await readSample(dataset, index), index, row)
        return undefined
      } catch (cause) {
        if (cause instanceof ImageError) return { name: cause.file, reason: cause.reason }
        const name = sampleName(dataset, index)
        throw new Error(`sample ${name} could not be prepared: ${(cause as Error).message}`, { cause })
      }
    }
    // sharp decodes in threads of its own, so files are worked on side by side; not all at once, for their memory's sake.
    return pMap(samples, read, { concurrency: filesAtOnce })
  }
}

/** The memory of a batch that can change threads without a copy. */
export function transferables({ inputs, targets }: Batch): ArrayBuffer[] {
  return [inputs.buffer as ArrayBuffer, ...(targets ? [targets.buffer as ArrayBuffer] : [])]
}
