import type { HostTensor } from '../../core/index.ts'
import type { Normalisation } from '../../data/index.ts'
import {
  bootstrapMean,
  dicePerClass,
  hausdorff95,
  iouPerClass,
  meanDice,
  meanIou,
  segmentationConfusion,
} from '../../metrics/index.ts'
import { batchOf } from './batches.ts'
import { IGNORED, type LabelledPictures, type SegmentationData } from './data.ts'

/** How good a segmenter is on labelled pictures. */
export interface SegmentationReport {
  readonly samples: number
  /** Mean over the classes that occur, of all pixels together. */
  readonly meanIou: number
  readonly meanDice: number
  /** Share of pixels labelled right. */
  readonly pixelAccuracy: number
  /** Mean over pictures of the mean over classes but the first, in pixels; undefined where no picture has both masks. */
  readonly hd95?: number
  /** 95 % bootstrap interval over pictures of the mean of each picture's IoU. */
  readonly interval: readonly [number, number]
  readonly perClass: readonly { readonly name: string; readonly iou: number | null; readonly dice: number | null }[]
}

const finite = (value: number): number | null => (Number.isNaN(value) ? null : value)

/**
 * Labels every picture and compares.
 * @param labels gives the class of each pixel for normalised pictures
 * @throws when there are no pictures
 */
export async function evaluateSegmenter(
  labels: (images: HostTensor) => Promise<HostTensor>,
  pictures: LabelledPictures,
  data: Pick<SegmentationData, 'classes' | 'channels' | 'size'>,
  normalisation: Normalisation,
  options: { readonly distances?: boolean; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<SegmentationReport> {
  const { classes, size } = data
  if (pictures.length === 0) throw new Error('there is nothing to evaluate: this part has no pictures')
  const area = size[0] * size[1]
  const predicted = new Uint8Array(pictures.length * area)
  const batch = 16
  for (let first = 0; first < pictures.length; first += batch) {
    const rows = Array.from({ length: Math.min(batch, pictures.length - first) }, (_, i) => first + i)
    const result = await labels(batchOf(pictures, rows, data, normalisation).images)
    predicted.set(result.numbers(), first * area)
    options.onProgress?.(first + rows.length, pictures.length)
  }
  const confusion = segmentationConfusion(pictures.masks, predicted, classes.length, { ignoreLabel: IGNORED })
  const total = confusion.data.reduce((a, b) => a + b, 0)
  const right = classes.reduce((sum, _, c) => sum + confusion.data[c * classes.length + c], 0)
  const each: number[] = []
  const distances: number[] = []
  for (let i = 0; i < pictures.length; i++) {
    const truth = pictures.masks.subarray(i * area, (i + 1) * area)
    const own = predicted.subarray(i * area, (i + 1) * area)
    const value = meanIou(segmentationConfusion(truth, own, classes.length, { ignoreLabel: IGNORED }))
    if (!Number.isNaN(value)) each.push(value)
    if (options.distances === false) continue
    const surfaces = classes.slice(1).map((_, c) => distanceOf(truth, own, c + 1, size))
    const known = surfaces.filter(distance => distance !== undefined)
    if (known.length) distances.push(known.reduce((a, b) => a + b, 0) / known.length)
  }
  const { low, high } = bootstrapMean(each.length ? each : [0], { seed: 0 })
  const [iou, dice] = [iouPerClass(confusion), dicePerClass(confusion)]
  return {
    samples: pictures.length,
    meanIou: meanIou(confusion),
    meanDice: meanDice(confusion),
    pixelAccuracy: right / Math.max(1, total),
    hd95: distances.length ? distances.reduce((a, b) => a + b, 0) / distances.length : undefined,
    interval: [low, high],
    perClass: classes.map((name, c) => ({ name, iou: finite(iou[c]), dice: finite(dice[c]) })),
  }
}

/** HD95 of one class in one picture; undefined unless both masks have it. */
function distanceOf(
  truth: Uint8Array,
  predicted: Uint8Array,
  label: number,
  [height, width]: readonly [number, number],
): number | undefined {
  if (!truth.includes(label) || !predicted.includes(label)) return undefined
  const only = (mask: Uint8Array): Uint8Array => mask.map(value => Number(value === label))
  return hausdorff95(only(truth), only(predicted), height, width)
}
