import { HostTensor } from '../../core/index.ts'
import * as metrics from '../../metrics/index.ts'
import { type Matrix, matrix } from '../../numerics/index.ts'
import type { CaseBuilder, CaseTable, GoldenCase, Outputs } from '../golden.ts'

const number = (value: number): HostTensor => new HostTensor(Float32Array.of(value), [1])

/** A rank-2 input as a matrix. */
function asMatrix(c: GoldenCase, name: string): Matrix {
  const value = c.value('in', name)
  return matrix(value.shape[0], value.shape[1], value.numbers())
}

/** What the metrics of a classifier are computed from. */
interface Classified {
  readonly scores: Matrix
  readonly labels: Float64Array
  readonly predicted: Int32Array
}

function classified(c: GoldenCase): Classified {
  const scores = asMatrix(c, 'scores')
  return { scores, labels: c.value('in', 'labels').numbers(), predicted: metrics.predictedClasses(scores) }
}

const confusion = ({ scores, labels, predicted }: Classified): Matrix =>
  metrics.confusionMatrix(labels, predicted, scores.cols)

/** A case of one number computed from scores and labels; the pattern's first group is passed on. */
const ofClassifier =
  (metric: (given: Classified, count: number) => number): CaseBuilder =>
  (c, match) => ({ '': number(metric(classified(c), Number(match[1]))) })

/** A metric of rankings by its name in the golden: `recall@5`, `ndcg@10_linear`. */
function rankingMetric(name: string, scores: Matrix, relevance: Matrix, grades: Matrix | undefined): number {
  const [, metric, depth, gain] = name.match(/^([a-z]+)(?:@(\d+))?(?:_(\w+))?$/) ?? []
  const k = depth === undefined ? undefined : Number(depth)
  if (metric === 'ndcg') {
    if (!grades || (gain !== 'linear' && gain !== 'exp')) throw new Error(`no ranking metric is called '${name}'`)
    return metrics.ndcgAtK(scores, grades, k ?? scores.cols, gain === 'exp' ? 'exponential' : 'linear')
  }
  const atK = { hit: metrics.hitAtK, recall: metrics.recallAtK, precision: metrics.precisionAtK }[metric]
  if (atK) return atK(scores, relevance, k ?? scores.cols)
  if (metric === 'map') return metrics.meanAveragePrecision(scores, relevance, k)
  if (metric === 'mrr') return metrics.meanReciprocalRank(scores, relevance)
  throw new Error(`no ranking metric is called '${name}'`)
}

function rankings(c: GoldenCase): Outputs {
  const [scores, relevance] = [asMatrix(c, 'scores'), asMatrix(c, 'rel')]
  const grades = c.has('in', 'grade') ? asMatrix(c, 'grade') : undefined
  return Object.fromEntries(c.names('out').map(name => [name, number(rankingMetric(name, scores, relevance, grades))]))
}

function segmentation(c: GoldenCase): Outputs {
  const [classes] = c.outputShape('iou')
  const counts = metrics.segmentationConfusion(
    c.value('in', 'true').numbers(),
    c.value('in', 'pred').numbers(),
    classes,
  )
  return {
    confusion: new HostTensor(Int32Array.from(counts.data), [classes, classes]),
    iou: new HostTensor(Float32Array.from(metrics.iouPerClass(counts)), [classes]),
    miou: number(metrics.meanIou(counts)),
  }
}

/** Compares each pair of images of two batches [count, channels, height, width]. */
function images(c: GoldenCase): Outputs {
  const [count, channels, height, width] = c.value('in', 'a').shape
  const planes = (name: string, i: number): metrics.ImagePlanes => ({
    channels,
    height,
    width,
    data: c
      .value('in', name)
      .numbers()
      .subarray(i * channels * height * width, (i + 1) * channels * height * width),
  })
  const each = (metric: (a: metrics.ImagePlanes, b: metrics.ImagePlanes) => number): HostTensor =>
    new HostTensor(
      Float32Array.from({ length: count }, (_, i) => metric(planes('a', i), planes('b', i))),
      [count],
    )
  return { psnr: each(metrics.psnr), ssim_gauss: each(metrics.ssim) }
}

export const metricsCases: CaseTable = {
  cases: [
    [/^top(\d+)$/, ofClassifier(({ scores, labels }, k) => metrics.topKAccuracy(scores, labels, k))],
    [/^macro_f1$/, ofClassifier(given => metrics.f1Score(confusion(given), 'macro'))],
    [/^micro_f1$/, ofClassifier(given => metrics.f1Score(confusion(given), 'micro'))],
    [/^mcc$/, ofClassifier(given => metrics.matthewsCorrelation(confusion(given)))],
    [/^kappa$/, ofClassifier(given => metrics.cohenKappa(confusion(given)))],
    [/^map_ovr$/, ofClassifier(({ scores, labels }) => metrics.averagePrecisionOneVsRest(scores, labels))],
    [/^auc_ovr$/, ofClassifier(({ scores, labels }) => metrics.rocAucOneVsRest(scores, labels))],
    [/^nmi$/, ofClassifier(({ labels, predicted }) => metrics.normalisedMutualInformation(labels, predicted))],
    [/^ari$/, ofClassifier(({ labels, predicted }) => metrics.adjustedRandIndex(labels, predicted))],
    [
      /^ece(\d+)$/,
      ofClassifier(({ scores, labels }, bins) =>
        metrics.expectedCalibrationError(metrics.softmaxRows(scores), labels, bins),
      ),
    ],
    [/^brier$/, ofClassifier(({ scores, labels }) => metrics.brierScore(metrics.softmaxRows(scores), labels))],
    [/^nll$/, ofClassifier(({ scores, labels }) => metrics.negativeLogLikelihood(metrics.softmaxRows(scores), labels))],
    [/^ret$/, rankings],
    [/^seg$/, segmentation],
    [/^img$/, images],
  ],
}
