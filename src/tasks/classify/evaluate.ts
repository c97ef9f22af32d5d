import { type HostTensor, hostTensor } from '../../core/index.ts'
import { DataLoader, type Dataset, type Normalisation, type Skipped } from '../../data/index.ts'
import {
  bootstrapMean,
  brierScore,
  classScores,
  confusionMatrix,
  expectedCalibrationError,
  negativeLogLikelihood,
  topKAccuracy,
} from '../../metrics/index.ts'

/** How good a classifier is on labelled pictures. */
export interface ClassificationReport {
  readonly samples: number
  readonly accuracy: number
  /** 95 % bootstrap interval of the accuracy. */
  readonly interval: readonly [number, number]
  readonly top5?: number
  readonly negativeLogLikelihood: number
  readonly brier: number
  readonly calibrationError: number
  readonly perClass: readonly {
    readonly name: string
    readonly precision: number
    readonly recall: number
    readonly f1: number
  }[]
  /** counts[true][predicted] */
  readonly confusion: readonly (readonly number[])[]
  readonly skipped: readonly Skipped[]
}

/** Every sample's class probabilities, in the data set's order. */
export interface Predictions {
  readonly probabilities: Float32Array
  readonly labels: Int32Array
  readonly indices: Int32Array
  readonly skipped: readonly Skipped[]
}

/** What a classifier says of a test part, and how good that is. */
export interface TestResult {
  readonly report: ClassificationReport
  readonly predictions: Predictions
}

/** Runs a classifier over a data set. */
export async function predictAll(
  probabilities: (images: HostTensor) => Promise<HostTensor>,
  dataset: Dataset,
  normalisation: Normalisation,
  onProgress?: (done: number, total: number) => void,
): Promise<Predictions> {
  const skipped: Skipped[] = []
  const loader = new DataLoader(dataset, { batchSize: 256, normalise: normalisation, onSkip: one => skipped.push(one) })
  const rows: number[][] = []
  const labels: number[] = []
  const indices: number[] = []
  try {
    for await (const batch of loader.epoch(0)) {
      const result = await probabilities(hostTensor(batch.inputs, batch.shape))
      const width = result.shape[1]
      for (let i = 0; i < batch.weights.length; i++) {
        if (batch.weights[i] === 0) continue
        rows.push(Array.from((result.data as Float32Array).subarray(i * width, (i + 1) * width)))
        labels.push(batch.labels[i])
        indices.push(batch.indices[i])
      }
      onProgress?.(labels.length, dataset.length)
    }
  } finally {
    await loader.close()
  }
  return {
    probabilities: Float32Array.from(rows.flat()),
    labels: Int32Array.from(labels),
    indices: Int32Array.from(indices),
    skipped,
  }
}

/** Scores predictions. @throws when there are none */
export function scorePredictions(
  { probabilities, labels, skipped }: Predictions,
  classes: readonly string[],
): ClassificationReport {
  if (labels.length === 0) throw new Error('there is nothing to evaluate: no picture could be read')
  const matrix = { rows: labels.length, cols: classes.length, data: Float64Array.from(probabilities) }
  const predicted = Int32Array.from(labels, (_, i) =>
    likeliest(probabilities.subarray(i * classes.length, (i + 1) * classes.length)),
  )
  const correct = Array.from(labels, (label, i) => Number(predicted[i] === label))
  const { low, high } = bootstrapMean(correct, { seed: 0 })
  const confusion = confusionMatrix(labels, predicted, classes.length)
  const scores = classScores(confusion)
  return {
    samples: labels.length,
    accuracy: correct.reduce((a, b) => a + b, 0) / correct.length,
    interval: [low, high],
    top5: classes.length > 5 ? topKAccuracy(matrix, labels, 5) : undefined,
    negativeLogLikelihood: negativeLogLikelihood(matrix, labels),
    brier: brierScore(matrix, labels),
    calibrationError: expectedCalibrationError(matrix, labels),
    perClass: classes.map((name, c) => ({
      name,
      precision: scores.precision[c],
      recall: scores.recall[c],
      f1: scores.f1[c],
    })),
    confusion: classes.map((_, r) => Array.from(confusion.data.slice(r * classes.length, (r + 1) * classes.length))),
    skipped,
  }
}

/** Position of the largest probability; the first of equals. */
export function likeliest(row: Float32Array): number {
  let best = 0
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i
  return best
}
