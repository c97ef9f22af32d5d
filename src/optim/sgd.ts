import { where } from '../core/index.ts'
import { type UpdateRule, withDecay } from './optimizer.ts'

export interface SgdOptions {
  /** Share of the last update kept; default 0. */
  readonly momentum?: number
  /** Share of each gradient kept out of the momentum buffer, the first excepted; default 0. */
  readonly dampening?: number
  readonly nesterov?: boolean
  /** L2 regularisation added to the gradient; default 0. */
  readonly weightDecay?: number
}

/**
 * Stochastic gradient descent: v = momentum v + (1-dampening) g, w -= lr v. The buffer starts as the first gradient.
 * @throws when Nesterov momentum is asked for with no momentum or with dampening. Source: PyTorch's SGD; Sutskever et al. 2013
 */
export function sgd({ momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 }: SgdOptions = {}): UpdateRule {
  if (nesterov && (momentum <= 0 || dampening !== 0))
    throw new Error('sgd: Nesterov momentum needs momentum > 0 and dampening 0')
  return {
    name: 'sgd',
    slots: momentum === 0 ? [] : [{ name: 'momentum' }],
    update({ weight, gradient, slots, step, learningRate }) {
      const decayed = withDecay(gradient, weight, weightDecay)
      if (momentum === 0) return { weight: weight.sub(decayed.mul(learningRate)) }
      const kept = slots.momentum.mul(momentum)
      const buffer =
        dampening === 0 ? kept.add(decayed) : where(step.equal(1), decayed, kept.add(decayed.mul(1 - dampening)))
      const direction = nesterov ? decayed.add(buffer.mul(momentum)) : buffer
      return { weight: weight.sub(direction.mul(learningRate)), slots: { momentum: buffer } }
    },
  }
}
