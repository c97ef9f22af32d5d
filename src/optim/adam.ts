import { maximum, sqrt, where } from '../core/index.ts'
import { biasCorrection, movingAverage, type UpdateContext, type UpdateRule, withDecay } from './optimizer.ts'

export interface AdamOptions {
  /** Decay of the first and second moment; default [0.9, 0.999]. */
  readonly betas?: readonly [number, number]
  /** Added to the root of the second moment; default 1e-8. */
  readonly epsilon?: number
  readonly weightDecay?: number
  /** Divides the moments by 1 - beta^t; default true. */
  readonly biasCorrection?: boolean
  /** Uses the largest second moment so far (Reddi et al. 2018); default false. */
  readonly amsgrad?: boolean
}

/**
 * m / c1 / (sqrt(v / c2) + epsilon) as a direction and a scalar factor, and the next moments. The corrections are folded into
 * the factor and into epsilon, where they cost no pass over the parameter: m / (sqrt(v) + epsilon sqrt(c2)) times sqrt(c2) / c1.
 */
function adamDirection(
  gradient: UpdateContext['gradient'],
  { slots, step, learningRate }: UpdateContext,
  options: Required<Omit<AdamOptions, 'weightDecay'>>,
) {
  const [beta1, beta2] = options.betas
  const first = movingAverage(slots.first, gradient, beta1)
  const second = movingAverage(slots.second, gradient.mul(gradient), beta2)
  const largest = options.amsgrad ? maximum(slots.largest, second) : undefined
  const root = sqrt(largest ?? second)
  const spread = options.biasCorrection ? sqrt(biasCorrection(beta2, step)) : undefined
  const factor = spread ? learningRate.mul(spread).div(biasCorrection(beta1, step)) : learningRate
  const direction = first.div(root.add(spread ? spread.mul(options.epsilon) : options.epsilon))
  return { change: direction.mul(factor), slots: { first, second, ...(largest && { largest }) } }
}

const moments = (amsgrad: boolean): UpdateRule['slots'] => [
  { name: 'first' },
  { name: 'second' },
  ...(amsgrad ? [{ name: 'largest' }] : []),
]

function complete({
  betas = [0.9, 0.999],
  epsilon = 1e-8,
  biasCorrection: corrected = true,
  amsgrad = false,
}: AdamOptions) {
  return { betas, epsilon, biasCorrection: corrected, amsgrad }
}

/** Adam with L2 regularisation passing through the moments. Source: Kingma & Ba 2015; PyTorch's Adam. */
export function adam(options: AdamOptions = {}): UpdateRule {
  const settings = complete(options)
  return {
    name: 'adam',
    slots: moments(settings.amsgrad),
    update(context) {
      const gradient = withDecay(context.gradient, context.weight, options.weightDecay ?? 0)
      const { change, slots } = adamDirection(gradient, context, settings)
      return { weight: context.weight.sub(change), slots }
    },
  }
}

/** Adam with decoupled decay: w is multiplied by 1 - lr * weightDecay (default 0.01) first. Source: Loshchilov & Hutter 2019. */
export function adamW(options: AdamOptions = {}): UpdateRule {
  const settings = complete(options)
  const { weightDecay = 0.01 } = options
  return {
    name: 'adamW',
    slots: moments(settings.amsgrad),
    update(context) {
      const { change, slots } = adamDirection(context.gradient, context, settings)
      const decayed =
        weightDecay === 0 ? context.weight : context.weight.mul(context.learningRate.mul(-weightDecay).add(1))
      return { weight: decayed.sub(change), slots }
    },
  }
}

/** Adam with the infinity norm of past gradients in place of the second moment. Source: Kingma & Ba 2015, section 7.1. */
export function adamax({
  betas: [beta1, beta2] = [0.9, 0.999],
  epsilon = 1e-8,
  weightDecay = 0,
}: AdamOptions = {}): UpdateRule {
  return {
    name: 'adamax',
    slots: [{ name: 'first' }, { name: 'norm' }],
    update({ weight, gradient, slots, step, learningRate }) {
      const decayed = withDecay(gradient, weight, weightDecay)
      const first = movingAverage(slots.first, decayed, beta1)
      const norm = maximum(slots.norm.mul(beta2), decayed.abs().add(epsilon))
      const rate = learningRate.div(biasCorrection(beta1, step))
      return { weight: weight.sub(first.div(norm).mul(rate)), slots: { first, norm } }
    },
  }
}

/**
 * Adam that takes plain momentum steps until the variance of its adaptive rate is tractable (rho > 5).
 * Source: Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond".
 */
export function radam({
  betas: [beta1, beta2] = [0.9, 0.999],
  epsilon = 1e-8,
  weightDecay = 0,
}: AdamOptions = {}): UpdateRule {
  const limit = 2 / (1 - beta2) - 1
  return {
    name: 'radam',
    slots: moments(false),
    update({ weight, gradient, slots, step, learningRate }) {
      const decayed = withDecay(gradient, weight, weightDecay)
      const first = movingAverage(slots.first, decayed, beta1)
      const second = movingAverage(slots.second, decayed.mul(decayed), beta2)
      const correction = biasCorrection(beta2, step)
      const rho = step.mul(correction.neg().add(1)).mul(-2).div(correction).add(limit)
      const tractable = rho.greater(5)
      const safe = where(tractable, rho, 6)
      const rectifier = sqrt(
        safe
          .sub(4)
          .mul(safe.sub(2))
          .mul(limit / ((limit - 4) * (limit - 2)))
          .div(safe),
      )
      const adaptive = sqrt(correction).div(sqrt(second).add(epsilon)).mul(rectifier)
      const direction = first.div(biasCorrection(beta1, step)).mul(where(tractable, adaptive, 1))
      return { weight: weight.sub(direction.mul(learningRate)), slots: { first, second } }
    },
  }
}
