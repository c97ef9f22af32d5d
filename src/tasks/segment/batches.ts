import { hostTensor } from '../../core/index.ts'
import { type Normalisation, RandomStream, randomPurposes, shuffledOrder } from '../../data/index.ts'
import type { Batch, BatchSource } from '../../train/index.ts'
import { IGNORED, type LabelledPictures, type SegmentationData } from './data.ts'

/** How a picture and its mask are laid into a batch. */
interface Change {
  readonly mirror: boolean
  readonly dx: number
  readonly dy: number
}

const unchanged: Change = { mirror: false, dx: 0, dy: 0 }

/** Pictures and masks at the given rows as one batch: images f32 normalised, masks i32. */
export function batchOf(
  pictures: LabelledPictures,
  rows: ArrayLike<number>,
  { channels, size: [height, width] }: Pick<SegmentationData, 'channels' | 'size'>,
  { mean, std }: Normalisation,
  change: (row: number, place: number) => Change = () => unchanged,
): Batch {
  const area = height * width
  const images = new Float32Array(rows.length * channels * area)
  const masks = new Int32Array(rows.length * area)
  for (let place = 0; place < rows.length; place++) {
    const row = rows[place]
    const { mirror, dx, dy } = change(row, place)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const [fx, fy] = [(mirror ? width - 1 - x : x) + dx, y + dy]
        const inside = fx >= 0 && fx < width && fy >= 0 && fy < height
        const from = fy * width + fx
        const to = y * width + x
        masks[place * area + to] = inside ? pictures.masks[row * area + from] : IGNORED
        // What is shifted in is the mean, and counts for nothing.
        for (let c = 0; c < channels; c++)
          if (inside)
            images[(place * channels + c) * area + to] =
              (pictures.images[(row * channels + c) * area + from] / 255 - mean[c]) / std[c]
      }
  }
  return {
    images: hostTensor(images, [rows.length, channels, height, width]),
    masks: hostTensor(masks, [rows.length, height, width]),
  }
}

/** The training part in a new order each epoch, shifted and, where that means the same, mirrored. */
export function trainingBatches(
  data: SegmentationData,
  batchSize: number,
  seed: number,
  augment: boolean,
): BatchSource {
  const { train } = data
  const size = Math.min(batchSize, train.length)
  const batchesPerEpoch = Math.floor(train.length / size)
  const reach = Math.max(1, Math.round(Math.min(...data.size) / 16))
  return {
    batchesPerEpoch,
    async *epoch(epoch, from) {
      const order = shuffledOrder(train.length, seed, epoch)
      for (let b = from; b < batchesPerEpoch; b++) {
        const rows = order.subarray(b * size, (b + 1) * size)
        const change = (row: number): Change => {
          if (!augment) return unchanged
          const random = new RandomStream(seed, randomPurposes.crop, epoch, row)
          const shift = (): number => random.integer(2 * reach + 1) - reach
          return { mirror: data.mirrored && random.uniform() < 0.5, dx: shift(), dy: shift() }
        }
        yield { batch: batchOf(train, rows, data, data.normalisation, change), size }
      }
    },
  }
}
