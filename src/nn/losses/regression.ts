import { type Tensor, where } from '../../core/index.ts'
import { type Reduction, reduceLoss, requireSameShape } from './reduction.ts'

function difference(loss: string, prediction: Tensor, target: Tensor): Tensor {
  requireSameShape(loss, prediction, target)
  return prediction.sub(target)
}

/** (prediction - target)^2 */
export function meanSquaredError(prediction: Tensor, target: Tensor, reduction: Reduction = 'mean'): Tensor {
  const error = difference('meanSquaredError', prediction, target)
  return reduceLoss(error.mul(error), reduction)
}

/** |prediction - target| */
export const meanAbsoluteError = (prediction: Tensor, target: Tensor, reduction: Reduction = 'mean'): Tensor =>
  reduceLoss(difference('meanAbsoluteError', prediction, target).abs(), reduction)

/** e^2/2 where |e| <= delta, else delta (|e| - delta/2). Source: Huber 1964 */
export function huber(prediction: Tensor, target: Tensor, delta = 1, reduction: Reduction = 'mean'): Tensor {
  const error = difference('huber', prediction, target)
  const size = error.abs()
  return reduceLoss(
    where(size.lessOrEqual(delta), error.mul(error).mul(0.5), size.sub(delta / 2).mul(delta)),
    reduction,
  )
}

/** Huber's loss divided by beta: e^2/(2 beta) where |e| < beta, else |e| - beta/2; the absolute error for beta 0. Source: Girshick 2015 */
export function smoothL1(prediction: Tensor, target: Tensor, beta = 1, reduction: Reduction = 'mean'): Tensor {
  if (beta === 0) return meanAbsoluteError(prediction, target, reduction)
  return huber(prediction, target, beta, reduction).div(beta)
}
