import { type SampleShape, sizeOf } from './dataset.ts'
import { RandomStream, randomPurposes } from './random.ts'

/** Mixing of samples within a batch, and of their labels in the same proportion. At least one of the two methods. */
export interface MixOptions {
  /** Blends whole samples with weight Beta(alpha, alpha) (Zhang et al., "mixup", ICLR 2018): this alpha > 0. */
  mixup?: number
  /** Pastes a rectangle of another image (Yun et al., "CutMix", ICCV 2019): the alpha > 0 of the kept area's Beta. */
  cutmix?: number
  /** Share of batches that are mixed. Default 1. */
  probability?: number
  /** Where both are given, the share of mixed batches that use cutmix. Default 0.5. */
  cutmixShare?: number
}

/** @throws Error when an option is out of range, or cutmix is asked of samples that are not images */
export function checkMixOptions({ mixup, cutmix, probability = 1, cutmixShare = 0.5 }: MixOptions, shape: SampleShape) {
  if (mixup === undefined && cutmix === undefined) throw new Error('mix: give an alpha for mixup, cutmix or both.')
  for (const [name, alpha] of Object.entries({ mixup, cutmix })) {
    if (alpha !== undefined && !(alpha > 0)) throw new Error(`mix: ${name} needs an alpha above 0, got ${alpha}.`)
  }
  for (const [name, share] of Object.entries({ probability, cutmixShare })) {
    if (!(share >= 0 && share <= 1)) throw new Error(`mix: ${name} must be between 0 and 1, got ${share}.`)
  }
  if (cutmix !== undefined && shape.length !== 3) {
    throw new Error(`mix: cutmix needs images [channels, height, width], but the samples have shape [${shape}].`)
  }
}

/** What happens to one batch: sample `rows[i]` takes the share 1 - lambda from sample `partners[i]`. */
interface Mixture {
  rows: Int32Array
  partners: Int32Array
  lambda: number
}

function blend(inputs: Float32Array, original: Float32Array, size: number, { rows, partners, lambda }: Mixture): void {
  for (const [at, row] of rows.entries()) {
    const from = row * size
    const other = partners[at] * size
    for (let value = 0; value < size; value++) {
      inputs[from + value] = lambda * original[from + value] + (1 - lambda) * original[other + value]
    }
  }
}

/** Pastes each partner's rectangle and returns the share of the area that was kept. */
function paste(
  inputs: Float32Array,
  original: Float32Array,
  [channels, height, width]: SampleShape,
  { rows, partners, lambda }: Mixture,
  random: RandomStream,
): number {
  const side = Math.sqrt(1 - lambda)
  const centreX = random.integer(width)
  const centreY = random.integer(height)
  const halfWidth = Math.floor((width * side) / 2)
  const halfHeight = Math.floor((height * side) / 2)
  const left = Math.max(0, centreX - halfWidth)
  const right = Math.min(width, centreX + halfWidth)
  const top = Math.max(0, centreY - halfHeight)
  const bottom = Math.min(height, centreY + halfHeight)
  for (const [at, row] of rows.entries()) {
    for (let channel = 0; channel < channels; channel++) {
      for (let y = top; y < bottom; y++) {
        const to = ((row * channels + channel) * height + y) * width
        const from = ((partners[at] * channels + channel) * height + y) * width
        inputs.set(original.subarray(from + left, from + right), to + left)
      }
    }
  }
  return 1 - ((right - left) * (bottom - top)) / (height * width)
}

/**
 * Mixes a batch in place, as a pure function of (seed, epoch, batch number): every sample with another one of the batch,
 * all by the same weight lambda, as in both papers.
 *
 * @param inputs [batch, ...shape], changed in place
 * @param labels one label a row
 * @param rows the rows that hold samples; others (padding, unreadable files) are left alone
 * @returns label distributions [batch, classes]; one-hot where nothing was mixed, zero in rows without a sample
 */
export function mixBatch(
  inputs: Float32Array,
  shape: SampleShape,
  labels: Int32Array,
  rows: Int32Array,
  classes: number,
  options: MixOptions,
  draw: { seed: number; epoch: number; batch: number },
): Float32Array {
  const random = new RandomStream(draw.seed, randomPurposes.mix, draw.epoch, draw.batch)
  const partners = random.shuffle(Int32Array.from(rows))
  const { mixup, cutmix, probability = 1, cutmixShare = 0.5 } = options
  const mixes = random.uniform() < probability
  const cuts = cutmix !== undefined && (mixup === undefined || random.uniform() < cutmixShare)
  let lambda = 1
  if (mixes) {
    const alpha = cuts ? cutmix : mixup!
    lambda = random.beta(alpha, alpha)
    const original = inputs.slice()
    if (cuts) lambda = paste(inputs, original, shape, { rows, partners, lambda }, random)
    else blend(inputs, original, sizeOf(shape), { rows, partners, lambda })
  }
  const targets = new Float32Array(labels.length * classes)
  for (const [at, row] of rows.entries()) {
    targets[row * classes + labels[row]] += lambda
    targets[row * classes + labels[partners[at]]] += 1 - lambda
  }
  return targets
}
