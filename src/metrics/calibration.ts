import { checkInteger, checkMatrix, checkSameLength, type Matrix, type MatrixLike, matrix } from '../numerics/matrix.ts'
import { predictedClasses } from './classification.ts'

/**
 * Probabilities from logits, exp(x_j / T) / sum over k of exp(x_k / T) in each row.
 *
 * @param logits [samples, classes]
 * @param temperature T above 0, default 1
 */
export function softmaxRows(logits: MatrixLike, temperature = 1): Matrix {
  checkMatrix('softmaxRows: logits', logits)
  if (!(temperature > 0)) throw new RangeError(`softmaxRows: temperature is ${temperature}; it must be above 0`)
  const out = matrix(logits.rows, logits.cols, logits.data)
  for (let i = 0; i < out.rows; i++) {
    const row = out.data.subarray(i * out.cols, (i + 1) * out.cols)
    const largest = row.reduce((a, b) => Math.max(a, b), -Infinity)
    for (let j = 0; j < row.length; j++) row[j] = Math.exp((row[j] - largest) / temperature)
    const sum = row.reduce((a, b) => a + b, 0)
    for (let j = 0; j < row.length; j++) row[j] /= sum
  }
  return out
}

/** Rows may miss a sum of 1 by float32 rounding; beyond this they are not probabilities. */
const sumTolerance = 1e-3

function checkProbabilities(metric: string, probabilities: MatrixLike, labels: ArrayLike<number>): void {
  checkMatrix(`${metric}: probabilities`, probabilities)
  checkInteger(`${metric}: number of samples`, probabilities.rows, 1)
  checkSameLength(`${metric}: samples and labels`, { length: probabilities.rows }, labels)
  const { rows, cols, data } = probabilities
  for (let i = 0; i < rows; i++) {
    checkInteger(`${metric}: label ${i}`, labels[i], 0, cols - 1)
    let sum = 0
    let lowest = 0
    for (let j = 0; j < cols; j++) {
      sum += data[i * cols + j]
      lowest = Math.min(lowest, data[i * cols + j])
    }
    if (!(Math.abs(sum - 1) <= sumTolerance) || lowest < 0) {
      throw new RangeError(`${metric}: row ${i} is no distribution (sum ${sum}); give probabilities, not logits`)
    }
  }
}

/** The samples whose confidence falls into one bin. */
export interface ReliabilityBin {
  /** Confidences above `low` and up to `high`; the first bin also holds `low`. */
  readonly low: number
  readonly high: number
  readonly count: number
  /** Mean probability of the predicted class; NaN in an empty bin. */
  readonly confidence: number
  /** Share of right predictions; NaN in an empty bin. */
  readonly accuracy: number
}

/**
 * Confidence against accuracy in bins of equal width over the probability of the predicted class.
 *
 * @param probabilities [samples, classes], rows summing to 1
 * @param labels [samples] true classes
 * @param bins default 10
 */
export function reliabilityBins(probabilities: MatrixLike, labels: ArrayLike<number>, bins = 10): ReliabilityBin[] {
  checkProbabilities('reliabilityBins', probabilities, labels)
  checkInteger('reliabilityBins: bins', bins, 1)
  const predicted = predictedClasses(probabilities)
  const [counts, confidences, hits] = [new Float64Array(bins), new Float64Array(bins), new Float64Array(bins)]
  for (let i = 0; i < predicted.length; i++) {
    const confidence = probabilities.data[i * probabilities.cols + predicted[i]]
    const bin = Math.min(Math.max(Math.ceil(confidence * bins) - 1, 0), bins - 1)
    counts[bin]++
    confidences[bin] += confidence
    if (predicted[i] === labels[i]) hits[bin]++
  }
  return Array.from(counts, (count, bin) => ({
    low: bin / bins,
    high: (bin + 1) / bins,
    count,
    confidence: confidences[bin] / count,
    accuracy: hits[bin] / count,
  }))
}

/**
 * Expected calibration error: the mean over samples of |accuracy - confidence| of their bin (Naeini et al. 2015; Guo et
 * al. 2017, equation 3).
 *
 * @param probabilities [samples, classes], rows summing to 1
 * @param labels [samples] true classes
 * @param bins default 10
 * @returns from 0 to 1
 */
export function expectedCalibrationError(probabilities: MatrixLike, labels: ArrayLike<number>, bins = 10): number {
  return reliabilityBins(probabilities, labels, bins)
    .filter(bin => bin.count > 0)
    .reduce((sum, bin) => sum + (bin.count / probabilities.rows) * Math.abs(bin.accuracy - bin.confidence), 0)
}

/**
 * Brier score: the mean over samples of sum over classes (p_c - [c is true])^2 (Brier 1950).
 *
 * @param probabilities [samples, classes], rows summing to 1
 * @param labels [samples] true classes
 * @returns from 0 to 2
 */
export function brierScore(probabilities: MatrixLike, labels: ArrayLike<number>): number {
  checkProbabilities('brierScore', probabilities, labels)
  const { rows, cols, data } = probabilities
  let sum = 0
  for (let i = 0; i < rows; i++) {
    for (let c = 0; c < cols; c++) sum += (data[i * cols + c] - (labels[i] === c ? 1 : 0)) ** 2
  }
  return sum / rows
}

/**
 * Negative log-likelihood: the mean over samples of -ln p of the true class; Infinity if one has probability 0.
 *
 * @param probabilities [samples, classes], rows summing to 1
 * @param labels [samples] true classes
 */
export function negativeLogLikelihood(probabilities: MatrixLike, labels: ArrayLike<number>): number {
  checkProbabilities('negativeLogLikelihood', probabilities, labels)
  const { rows, cols, data } = probabilities
  let sum = 0
  for (let i = 0; i < rows; i++) sum -= Math.log(data[i * cols + labels[i]])
  return sum / rows
}
