import { checkMatrix, checkSameLength, type Matrix, type MatrixLike, matrix, shapeOf } from './matrix.ts'

function checkBoxes(operation: string, boxes: MatrixLike): void {
  checkMatrix(`${operation}: boxes`, boxes)
  if (boxes.cols !== 4) {
    throw new RangeError(`${operation}: boxes are ${shapeOf(boxes)}; they must be [n, 4] as (x1, y1, x2, y2)`)
  }
}

/** Area of box `i`, 0 if its corners are out of order. */
export const boxArea = ({ data }: MatrixLike, i: number): number =>
  Math.max(0, data[4 * i + 2] - data[4 * i]) * Math.max(0, data[4 * i + 3] - data[4 * i + 1])

/** Area of the overlap of box `i` of `a` and box `j` of `b`. */
export function overlapArea(a: MatrixLike, i: number, b: MatrixLike, j: number): number {
  const width = Math.min(a.data[4 * i + 2], b.data[4 * j + 2]) - Math.max(a.data[4 * i], b.data[4 * j])
  const height = Math.min(a.data[4 * i + 3], b.data[4 * j + 3]) - Math.max(a.data[4 * i + 1], b.data[4 * j + 1])
  return Math.max(0, width) * Math.max(0, height)
}

function iou(a: MatrixLike, i: number, b: MatrixLike, j: number): number {
  const overlap = overlapArea(a, i, b, j)
  const union = boxArea(a, i) + boxArea(b, j) - overlap
  return union > 0 ? overlap / union : 0
}

/**
 * Intersection over union of every pair of boxes; 0 for two boxes without area.
 *
 * @param a [n, 4] as (x1, y1, x2, y2)
 * @param b [m, 4]
 * @returns [n, m]
 */
export function boxIou(a: MatrixLike, b: MatrixLike): Matrix {
  checkBoxes('boxIou', a)
  checkBoxes('boxIou', b)
  const out = matrix(a.rows, b.rows)
  for (let i = 0; i < a.rows; i++) for (let j = 0; j < b.rows; j++) out.data[i * b.rows + j] = iou(a, i, b, j)
  return out
}

/**
 * Greedy non-maximum suppression: by descending score (lowest index first among equals), a box is kept unless its IoU with
 * a kept box is above the threshold.
 *
 * @param boxes [n, 4] as (x1, y1, x2, y2)
 * @param scores [n]
 * @param iouThreshold from 0 to 1
 * @param classes [n]: with it, boxes suppress only boxes of their own class
 * @returns indices of the kept boxes, by descending score
 * @throws RangeError if the lengths differ, a score is NaN, or the threshold is outside 0..1
 */
export function nms(
  boxes: MatrixLike,
  scores: ArrayLike<number>,
  iouThreshold: number,
  classes?: ArrayLike<number>,
): Int32Array {
  checkBoxes('nms', boxes)
  checkSameLength('nms: boxes and scores', { length: boxes.rows }, scores)
  if (classes !== undefined) checkSameLength('nms: scores and classes', scores, classes)
  if (!(iouThreshold >= 0 && iouThreshold <= 1)) {
    throw new RangeError(`nms: iouThreshold is ${iouThreshold}; it must be from 0 to 1`)
  }
  const order = Array.from({ length: boxes.rows }, (_, index) => index)
  for (const index of order) {
    if (Number.isNaN(scores[index])) throw new RangeError(`nms: score ${index} is NaN; scores must be comparable`)
  }
  order.sort((a, b) => scores[b] - scores[a] || a - b)
  const kept: number[] = []
  for (const candidate of order) {
    const suppressed = kept.some(
      other =>
        (classes === undefined || classes[other] === classes[candidate]) &&
        iou(boxes, other, boxes, candidate) > iouThreshold,
    )
    if (!suppressed) kept.push(candidate)
  }
  return Int32Array.from(kept)
}
