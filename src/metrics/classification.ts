import { checkInteger, checkMatrix, checkSameLength, type Matrix, type MatrixLike, matrix } from '../numerics/matrix.ts'
import { targetRanks } from './ranking.ts'

/**
 * The class of the highest score in each row, the lowest among equals.
 *
 * @param scores [samples, classes], logits or probabilities
 */
export function predictedClasses(scores: MatrixLike): Int32Array {
  checkMatrix('predictedClasses: scores', scores)
  checkInteger('predictedClasses: number of classes', scores.cols, 1)
  const best = new Int32Array(scores.rows)
  for (let i = 0; i < scores.rows; i++) {
    for (let j = 0; j < scores.cols; j++) {
      const value = scores.data[i * scores.cols + j]
      if (Number.isNaN(value)) throw new RangeError(`predictedClasses: score (${i}, ${j}) is NaN`)
      if (value > scores.data[i * scores.cols + best[i]]) best[i] = j
    }
  }
  return best
}

/**
 * The share of samples whose true class is among their k highest scores; among equal scores the lower class counts as
 * higher.
 *
 * @param scores [samples, classes], at least one sample
 * @param labels [samples] true classes
 * @param k default 1
 */
export function topKAccuracy(scores: MatrixLike, labels: ArrayLike<number>, k = 1): number {
  checkInteger('topKAccuracy: k', k, 1)
  checkInteger('topKAccuracy: number of samples', scores.rows, 1)
  return targetRanks(scores, labels).filter(rank => rank <= k).length / scores.rows
}

/** Options of `confusionMatrix`. */
export interface ConfusionOptions {
  /** Samples of this true label are left out; default none. */
  readonly ignoreLabel?: number
}

/**
 * How often each true class was predicted as each class.
 *
 * @param truth [samples] true classes, 0 to classes - 1
 * @param predicted [samples] predicted classes, 0 to classes - 1
 * @param classes number of classes
 * @returns [true class, predicted class] counts
 * @throws RangeError if the lengths differ or a class is out of range
 */
export function confusionMatrix(
  truth: ArrayLike<number>,
  predicted: ArrayLike<number>,
  classes: number,
  { ignoreLabel }: ConfusionOptions = {},
): Matrix {
  checkSameLength('confusionMatrix: truth and predictions', truth, predicted)
  checkInteger('confusionMatrix: classes', classes, 1)
  const counts = matrix(classes, classes)
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] === ignoreLabel) continue
    checkInteger(`confusionMatrix: true class of sample ${i}`, truth[i], 0, classes - 1)
    checkInteger(`confusionMatrix: predicted class of sample ${i}`, predicted[i], 0, classes - 1)
    counts.data[truth[i] * classes + predicted[i]]++
  }
  return counts
}

interface Marginals {
  readonly total: number
  readonly agreed: number
  readonly hits: Float64Array
  readonly ofTruth: Float64Array
  readonly ofPrediction: Float64Array
}

function marginals(metric: string, confusion: MatrixLike): Marginals {
  checkMatrix(`${metric}: confusion`, confusion)
  if (confusion.rows !== confusion.cols) {
    throw new RangeError(`${metric}: confusion is ${confusion.rows}x${confusion.cols}; it must be square`)
  }
  const n = confusion.rows
  const [hits, ofTruth, ofPrediction] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)]
  let total = 0
  for (let i = 0; i < n; i++) {
    hits[i] = confusion.data[i * n + i]
    for (let j = 0; j < n; j++) {
      const count = confusion.data[i * n + j]
      ofTruth[i] += count
      ofPrediction[j] += count
      total += count
    }
  }
  if (!(total > 0)) throw new RangeError(`${metric}: the confusion matrix counts no samples`)
  return { total, agreed: hits.reduce((sum, count) => sum + count, 0), hits, ofTruth, ofPrediction }
}

/** The share of samples on the diagonal of a confusion matrix. */
export function accuracy(confusion: MatrixLike): number {
  const { agreed, total } = marginals('accuracy', confusion)
  return agreed / total
}

/** The mean recall of the classes that occur. */
export function balancedAccuracy(confusion: MatrixLike): number {
  const { recall, support } = classScores(confusion)
  return meanWhere(recall, (_, i) => support[i] > 0)
}

function meanWhere(values: Float64Array, counts: (value: number, index: number) => boolean): number {
  const kept = values.filter(counts)
  return kept.reduce((sum, value) => sum + value, 0) / kept.length
}

/** Scores of every class; 0 where a class was never predicted or never occurs. */
export interface ClassScores {
  readonly precision: Float64Array
  readonly recall: Float64Array
  /** 2 tp / (2 tp + fp + fn), the harmonic mean of precision and recall. */
  readonly f1: Float64Array
  /** How many samples of the class there are. */
  readonly support: Float64Array
}

/**
 * Precision, recall and F1 of every class.
 *
 * @param confusion [true class, predicted class] counts
 */
export function classScores(confusion: MatrixLike): ClassScores {
  const { hits, ofTruth, ofPrediction } = marginals('classScores', confusion)
  const ratio = (part: number, whole: number) => (whole > 0 ? part / whole : 0)
  return {
    precision: hits.map((count, i) => ratio(count, ofPrediction[i])),
    recall: hits.map((count, i) => ratio(count, ofTruth[i])),
    f1: hits.map((count, i) => ratio(2 * count, ofTruth[i] + ofPrediction[i])),
    support: ofTruth,
  }
}

/**
 * F1 over all classes.
 *
 * @param confusion [true class, predicted class] counts
 * @param average `macro` (default): mean over the classes that occur or were predicted; `micro`: over pooled counts, which
 *   for one label a sample is the accuracy; `weighted`: mean over classes weighted by how often they occur
 */
export function f1Score(confusion: MatrixLike, average: 'macro' | 'micro' | 'weighted' = 'macro'): number {
  const { total, agreed, ofTruth, ofPrediction } = marginals('f1Score', confusion)
  if (average === 'micro') return agreed / total
  const { f1 } = classScores(confusion)
  if (average === 'macro') return meanWhere(f1, (_, i) => ofTruth[i] + ofPrediction[i] > 0)
  return f1.reduce((sum, value, i) => sum + value * ofTruth[i], 0) / total
}

/**
 * Matthews correlation of truth and prediction over any number of classes (Gorodkin 2004); 0 if either never varies.
 *
 * @param confusion [true class, predicted class] counts
 * @returns from -1 to 1
 */
export function matthewsCorrelation(confusion: MatrixLike): number {
  const { total, agreed, ofTruth, ofPrediction } = marginals('matthewsCorrelation', confusion)
  const product = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0)
  const covariance = agreed * total - product(ofTruth, ofPrediction)
  const spread = (total ** 2 - product(ofTruth, ofTruth)) * (total ** 2 - product(ofPrediction, ofPrediction))
  return spread > 0 ? covariance / Math.sqrt(spread) : 0
}

/**
 * Cohen's kappa (observed - chance agreement) / (1 - chance agreement) (Cohen 1960).
 *
 * @param confusion [one rater's class, the other's class] counts
 * @returns at most 1; NaN if both raters only ever use one and the same class
 */
export function cohenKappa(confusion: MatrixLike): number {
  const { total, agreed, ofTruth, ofPrediction } = marginals('cohenKappa', confusion)
  const chance = ofTruth.reduce((sum, count, i) => sum + count * ofPrediction[i], 0) / total ** 2
  return (agreed / total - chance) / (1 - chance)
}

/** Indices by descending score. */
function orderOf(metric: string, scores: ArrayLike<number>, positive: ArrayLike<number | boolean>): number[] {
  checkSameLength(`${metric}: scores and labels`, scores, positive)
  const order = Array.from({ length: scores.length }, (_, i) => i)
  for (const i of order) {
    if (Number.isNaN(scores[i])) throw new RangeError(`${metric}: score ${i} is NaN; scores must be comparable`)
  }
  return order.sort((a, b) => scores[b] - scores[a])
}

/**
 * Area under the precision-recall steps, sum over thresholds of (R_n - R_{n-1}) P_n. Equal scores share a threshold.
 *
 * @param scores [samples]
 * @param positive [samples], truthy where positive
 * @throws RangeError if nothing is positive
 */
export function averagePrecision(scores: ArrayLike<number>, positive: ArrayLike<number | boolean>): number {
  const order = orderOf('averagePrecision', scores, positive)
  const positives = order.filter(i => positive[i]).length
  if (positives === 0) throw new RangeError('averagePrecision: no sample is positive, so recall is undefined')
  let sum = 0
  let hits = 0
  let counted = 0
  order.forEach((sample, at) => {
    if (positive[sample]) hits++
    if (at + 1 < order.length && scores[order[at + 1]] === scores[sample]) return
    sum += ((hits - counted) / positives) * (hits / (at + 1))
    counted = hits
  })
  return sum
}

/**
 * Area under the ROC curve: the chance that a positive scores above a negative, half counted for equal scores.
 *
 * @param scores [samples]
 * @param positive [samples], truthy where positive
 * @throws RangeError unless there are positive and negative samples
 */
export function rocAuc(scores: ArrayLike<number>, positive: ArrayLike<number | boolean>): number {
  const order = orderOf('rocAuc', scores, positive)
  const positives = order.filter(i => positive[i]).length
  const negatives = order.length - positives
  if (positives === 0 || negatives === 0) {
    throw new RangeError(`rocAuc: ${positives} positive and ${negatives} negative samples; both kinds are needed`)
  }
  let area = 0
  let above = 0
  for (let start = 0, end = 0; start < order.length; start = end) {
    let [tiedPositives, tiedNegatives] = [0, 0]
    for (; end < order.length && scores[order[end]] === scores[order[start]]; end++) {
      if (positive[order[end]]) tiedPositives++
      else tiedNegatives++
    }
    area += tiedNegatives * (above + tiedPositives / 2)
    above += tiedPositives
  }
  return area / (positives * negatives)
}

/** The mean over classes that some but not all samples have of a binary metric on that class's scores. */
function oneVsRest(
  metric: string,
  scores: MatrixLike,
  labels: ArrayLike<number>,
  binary: (scores: Float64Array, positive: Uint8Array) => number,
): number {
  checkMatrix(`${metric}: scores`, scores)
  checkSameLength(`${metric}: samples and labels`, { length: scores.rows }, labels)
  for (let i = 0; i < labels.length; i++) checkInteger(`${metric}: label ${i}`, labels[i], 0, scores.cols - 1)
  let sum = 0
  let classes = 0
  for (let c = 0; c < scores.cols; c++) {
    const positive = Uint8Array.from(labels, label => (label === c ? 1 : 0))
    const count = positive.reduce((total, flag) => total + flag, 0)
    if (count === 0 || count === labels.length) continue
    sum += binary(
      Float64Array.from(positive, (_, i) => scores.data[i * scores.cols + c]),
      positive,
    )
    classes++
  }
  if (classes === 0) throw new RangeError(`${metric}: the samples show fewer than two classes`)
  return sum / classes
}

/**
 * `averagePrecision` of each class against the others, averaged over the classes that occur.
 *
 * @param scores [samples, classes]
 * @param labels [samples] true classes
 */
export const averagePrecisionOneVsRest = (scores: MatrixLike, labels: ArrayLike<number>): number =>
  oneVsRest('averagePrecisionOneVsRest', scores, labels, averagePrecision)

/**
 * `rocAuc` of each class against the others, averaged over the classes that occur.
 *
 * @param scores [samples, classes]
 * @param labels [samples] true classes
 */
export const rocAucOneVsRest = (scores: MatrixLike, labels: ArrayLike<number>): number =>
  oneVsRest('rocAucOneVsRest', scores, labels, rocAuc)
