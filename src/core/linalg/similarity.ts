import { squaredDistances } from '../ops/distance.ts'
import { div, exp, mul, requireFloat, sqrt, sub } from '../ops/elementwise.ts'
import { matmul } from '../ops/matmul.ts'
import { mean, sum } from '../ops/reduce.ts'
import { formatShape } from '../shape.ts'
import { asTensor, type Tensor, type TensorLike } from '../tensor.ts'

function pairedRows(op: string, x: TensorLike, y: TensorLike): [Tensor, Tensor] {
  const left = asTensor(x)
  const right = asTensor(y)
  requireFloat(op, left)
  if (left.rank !== 2 || right.rank !== 2 || left.shape[0] !== right.shape[0])
    throw new Error(
      `${op}: expected two matrices with one row for each example, got ${formatShape(left.shape)} and ${formatShape(right.shape)}`,
    )
  return [left, right]
}

const centredColumns = (x: Tensor): Tensor => sub(x, mean(x, 0, true))
const squareSum = (x: Tensor): Tensor => sum(mul(x, x))

/**
 * Linear centred kernel alignment |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F) of centred columns: 1 for representations that are
 * equal up to an orthogonal map and one scale, 0 for unrelated ones.
 * @param x [examples, dim]
 * @param y [examples, other dim]
 * @returns a scalar
 * @throws when the numbers of examples differ. Source: Kornblith et al. 2019
 */
export function linearCka(x: TensorLike, y: TensorLike): Tensor {
  const [left, right] = pairedRows('linearCka', x, y).map(centredColumns)
  const product = (a: Tensor, b: Tensor): Tensor => squareSum(matmul(a, b, { transposeA: true }))
  return div(product(left, right), sqrt(mul(product(left, left), product(right, right))))
}

/**
 * Centred kernel alignment with the Gaussian kernel exp(-|a-b|^2 / (2 sigma^2)).
 * @param sigma width of the kernel, for both, or one for each
 * @returns a scalar between 0 and 1
 * @throws when the numbers of examples differ or sigma is not above 0. Source: Kornblith et al. 2019
 */
export function rbfCka(x: TensorLike, y: TensorLike, sigma: number | readonly [number, number]): Tensor {
  const [left, right] = pairedRows('rbfCka', x, y)
  const widths = typeof sigma === 'number' ? [sigma, sigma] : sigma
  if (!widths.every(width => width > 0)) throw new Error(`rbfCka: sigma is ${sigma}; it must be above 0`)
  const kernel = (points: Tensor, width: number): Tensor => {
    const similarity = exp(mul(squaredDistances(points, points), -1 / (2 * width * width)))
    const rows = centredColumns(similarity)
    return sub(rows, mean(rows, 1, true))
  }
  const [first, second] = [kernel(left, widths[0]), kernel(right, widths[1])]
  return div(sum(mul(first, second)), sqrt(mul(squareSum(first), squareSum(second))))
}
