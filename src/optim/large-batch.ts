import { sqrt, type Tensor, where } from '../core/index.ts'
import { biasCorrection, movingAverage, type UpdateRule, withDecay } from './optimizer.ts'

const norm = (t: Tensor): Tensor => sqrt(t.mul(t).sum())

/** ||weight|| / ||update||, or 1 where either is 0. */
function trustRatio(weight: Tensor, update: Tensor, scale = 1): Tensor {
  const weightNorm = norm(weight)
  const updateNorm = norm(update)
  const both = weightNorm.greater(0).and(updateNorm.greater(0))
  return where(both, weightNorm.mul(scale).div(where(both, updateNorm, 1)), 1)
}

export interface LambOptions {
  readonly betas?: readonly [number, number]
  readonly epsilon?: number
  /** Added to the update before its norm is taken; default 0. */
  readonly weightDecay?: number
  readonly biasCorrection?: boolean
}

/** Adam's direction, rescaled for each layer to the norm of its weights. Source: You et al. 2020, "Large Batch Optimization for Deep Learning". */
export function lamb({
  betas: [beta1, beta2] = [0.9, 0.999],
  epsilon = 1e-6,
  weightDecay = 0,
  biasCorrection: corrected = true,
}: LambOptions = {}): UpdateRule {
  return {
    name: 'lamb',
    slots: [{ name: 'first' }, { name: 'second' }],
    update({ weight, gradient, slots, step, learningRate }) {
      const first = movingAverage(slots.first, gradient, beta1)
      const second = movingAverage(slots.second, gradient.mul(gradient), beta2)
      const mean = corrected ? first.div(biasCorrection(beta1, step)) : first
      const root = sqrt(corrected ? second.div(biasCorrection(beta2, step)) : second)
      const update = withDecay(mean.div(root.add(epsilon)), weight, weightDecay)
      return { weight: weight.sub(update.mul(learningRate.mul(trustRatio(weight, update)))), slots: { first, second } }
    },
  }
}

export interface LarsOptions {
  readonly momentum?: number
  readonly weightDecay?: number
  /** Share of the weights' norm a step may have; default 0.001. */
  readonly trust?: number
}

/**
 * Momentum SGD whose gradient is rescaled for each layer to the norm of its weights; vectors (biases, norms) take plain steps
 * without decay. Source: You et al. 2017, "Large Batch Training of Convolutional Networks".
 */
export function lars({ momentum = 0.9, weightDecay = 0, trust = 0.001 }: LarsOptions = {}): UpdateRule {
  return {
    name: 'lars',
    slots: [{ name: 'momentum' }],
    update({ weight, gradient, slots, learningRate }) {
      const plain = weight.rank <= 1
      const decayed = plain ? gradient : withDecay(gradient, weight, weightDecay)
      const scaled = plain ? decayed : decayed.mul(trustRatio(weight, decayed, trust))
      const buffer = slots.momentum.mul(momentum).add(scaled)
      return { weight: weight.sub(buffer.mul(learningRate)), slots: { momentum: buffer } }
    },
  }
}
