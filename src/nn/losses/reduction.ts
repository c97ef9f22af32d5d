import { asTensor, formatShape, mul, type Tensor } from '../../core/index.ts'

/** How losses of single elements become one number: their mean, their sum, or not at all. */
export type Reduction = 'mean' | 'sum' | 'none'

/**
 * Reduces losses of single elements.
 * @param weights of the elements; the mean divides by their sum (by 1 where all are 0)
 */
export function reduceLoss(losses: Tensor, reduction: Reduction, weights?: Tensor): Tensor {
  const weighted = weights ? mul(losses, weights) : losses
  if (reduction === 'none') return weighted
  if (reduction === 'sum') return weighted.sum()
  if (!weights) return losses.mean()
  const total = weights.broadcastTo(losses.shape).sum()
  return weighted.sum().div(total.add(total.equal(asTensor(0, total.dtype)).cast(total.dtype)))
}

/** Throws unless a prediction and its target are of one shape: broadcasting would hide a mistake. */
export function requireSameShape(loss: string, prediction: Tensor, target: Tensor): void {
  if (formatShape(prediction.shape) !== formatShape(target.shape))
    throw new Error(
      `${loss}: the prediction is ${formatShape(prediction.shape)}, the target ${formatShape(target.shape)}; they must be equal`,
    )
}
