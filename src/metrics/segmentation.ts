import { checkInteger, checkMatrix, type Matrix, type MatrixLike } from '../numerics/matrix.ts'
import { type ConfusionOptions, confusionMatrix } from './classification.ts'

/**
 * Pixel counts of true against predicted classes, over any number of label maps laid end to end.
 *
 * @param truth true class of every pixel
 * @param predicted predicted class of every pixel
 * @param classes number of classes
 * @param options `ignoreLabel`: true label of the pixels to leave out, e.g. 255
 * @returns [true class, predicted class] counts
 */
export const segmentationConfusion = (
  truth: ArrayLike<number>,
  predicted: ArrayLike<number>,
  classes: number,
  options: ConfusionOptions = {},
): Matrix => confusionMatrix(truth, predicted, classes, options)

/** For each class a ratio of its hits, its true pixels and its predicted pixels; NaN for a class in neither map. */
function perClass(
  metric: string,
  confusion: MatrixLike,
  ratio: (hits: number, truth: number, predicted: number) => number,
): Float64Array {
  checkMatrix(`${metric}: confusion`, confusion)
  const { rows: n, cols, data } = confusion
  checkInteger(`${metric}: columns of the confusion matrix`, cols, n, n)
  return Float64Array.from({ length: n }, (_, c) => {
    let truth = 0
    let predicted = 0
    for (let other = 0; other < n; other++) {
      truth += data[c * n + other]
      predicted += data[other * n + c]
    }
    return truth + predicted > 0 ? ratio(data[c * n + c], truth, predicted) : Number.NaN
  })
}

/** The mean of the values that are not NaN; NaN if none is. */
function meanOfPresent(values: Float64Array): number {
  const present = values.filter(value => !Number.isNaN(value))
  return present.reduce((sum, value) => sum + value, 0) / present.length
}

/**
 * Intersection over union of each class, tp / (tp + fp + fn).
 *
 * @param confusion [true class, predicted class] counts
 * @returns [classes]; NaN for a class in neither map
 */
export const iouPerClass = (confusion: MatrixLike): Float64Array =>
  perClass('iouPerClass', confusion, (hits, truth, predicted) => hits / (truth + predicted - hits))

/** The mean of `iouPerClass` over the classes that occur in either map. */
export const meanIou = (confusion: MatrixLike): number => meanOfPresent(iouPerClass(confusion))

/**
 * Dice coefficient of each class, 2 tp / (2 tp + fp + fn).
 *
 * @param confusion [true class, predicted class] counts
 * @returns [classes]; NaN for a class in neither map
 */
export const dicePerClass = (confusion: MatrixLike): Float64Array =>
  perClass('dicePerClass', confusion, (hits, truth, predicted) => (2 * hits) / (truth + predicted))

/** The mean of `dicePerClass` over the classes that occur in either map. */
export const meanDice = (confusion: MatrixLike): number => meanOfPresent(dicePerClass(confusion))
