import { sqrt } from '../core/index.ts'
import { movingAverage, type UpdateRule, withDecay } from './optimizer.ts'

export interface AdagradOptions {
  /** lr / (1 + (t-1) rateDecay); default 0. */
  readonly rateDecay?: number
  readonly weightDecay?: number
  /** Start of the sum of squares; default 0. */
  readonly initial?: number
  readonly epsilon?: number
}

/** Divides by the root of the sum of all squared gradients. Source: Duchi et al. 2011; PyTorch's Adagrad (epsilon 1e-10). */
export function adagrad({
  rateDecay = 0,
  weightDecay = 0,
  initial = 0,
  epsilon = 1e-10,
}: AdagradOptions = {}): UpdateRule {
  return {
    name: 'adagrad',
    slots: [{ name: 'squares', initial: weight => new Float32Array(weight.length).fill(initial) }],
    update({ weight, gradient, slots, step, learningRate }) {
      const decayed = withDecay(gradient, weight, weightDecay)
      const squares = slots.squares.add(decayed.mul(decayed))
      const rate = rateDecay === 0 ? learningRate : learningRate.div(step.sub(1).mul(rateDecay).add(1))
      return { weight: weight.sub(decayed.div(sqrt(squares).add(epsilon)).mul(rate)), slots: { squares } }
    },
  }
}

/** Steps in the units of the weights, from running averages of squared gradients and squared steps. Source: Zeiler 2012. */
export function adadelta({ rho = 0.9, epsilon = 1e-6, weightDecay = 0 } = {}): UpdateRule {
  return {
    name: 'adadelta',
    slots: [{ name: 'squares' }, { name: 'steps' }],
    update({ weight, gradient, slots, learningRate }) {
      const decayed = withDecay(gradient, weight, weightDecay)
      const squares = movingAverage(slots.squares, decayed.mul(decayed), rho)
      const change = sqrt(slots.steps.add(epsilon))
        .div(sqrt(squares.add(epsilon)))
        .mul(decayed)
      const steps = movingAverage(slots.steps, change.mul(change), rho)
      return { weight: weight.sub(change.mul(learningRate)), slots: { squares, steps } }
    },
  }
}

export interface RmspropOptions {
  /** Decay of the average of squares; default 0.99. */
  readonly alpha?: number
  readonly epsilon?: number
  readonly momentum?: number
  readonly weightDecay?: number
  /** Subtracts the squared average gradient; default false. */
  readonly centered?: boolean
}

/** Divides by the root of a running average of squared gradients. Source: Hinton's lecture 6e; PyTorch's RMSprop. */
export function rmsprop({
  alpha = 0.99,
  epsilon = 1e-8,
  momentum = 0,
  weightDecay = 0,
  centered = false,
}: RmspropOptions = {}): UpdateRule {
  return {
    name: 'rmsprop',
    slots: [
      { name: 'squares' },
      ...(centered ? [{ name: 'average' }] : []),
      ...(momentum ? [{ name: 'momentum' }] : []),
    ],
    update({ weight, gradient, slots, learningRate }) {
      const decayed = withDecay(gradient, weight, weightDecay)
      const squares = movingAverage(slots.squares, decayed.mul(decayed), alpha)
      const average = centered ? movingAverage(slots.average, decayed, alpha) : undefined
      const spread = average ? squares.sub(average.mul(average)) : squares
      const scaled = decayed.div(sqrt(spread).add(epsilon))
      const buffer = momentum ? slots.momentum.mul(momentum).add(scaled) : undefined
      return {
        weight: weight.sub((buffer ?? scaled).mul(learningRate)),
        slots: { squares, ...(average && { average }), ...(buffer && { momentum: buffer }) },
      }
    },
  }
}

/** The sign of an interpolated momentum, with decoupled decay. Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms". */
export function lion({
  betas: [beta1, beta2] = [0.9, 0.99],
  weightDecay = 0,
}: {
  betas?: readonly [number, number]
  weightDecay?: number
} = {}): UpdateRule {
  return {
    name: 'lion',
    slots: [{ name: 'momentum' }],
    update({ weight, gradient, slots, learningRate }) {
      const direction = movingAverage(slots.momentum, gradient, beta1).sign()
      const decayed = weightDecay === 0 ? weight : weight.mul(learningRate.mul(-weightDecay).add(1))
      return {
        weight: decayed.sub(direction.mul(learningRate)),
        slots: { momentum: movingAverage(slots.momentum, gradient, beta2) },
      }
    },
  }
}
