import type { Variable } from '../core/index.ts'
import { adamW, cosine, type ParameterGroup } from '../optim/index.ts'

/** How fast weights move, and how they are drawn to 0. */
export interface RateSettings {
  /** Peak of the rate. */
  readonly learningRate: number
  readonly weightDecay: number
  /** Share of the steps in which the rate grows. */
  readonly warmup: number
}

/**
 * AdamW with a cosine schedule: matrices and kernels decay; biases, norms, tokens and position vectors do not.
 * @param total steps of the run
 */
export function parameterGroups(
  parameters: readonly Variable[],
  { learningRate, weightDecay, warmup }: RateSettings,
  total: number,
): ParameterGroup[] {
  const schedule = cosine({
    base: learningRate,
    total: Math.max(total, 2),
    warmup: Math.min(Math.round(warmup * total), Math.max(total, 2) - 1),
    min: learningRate * 0.01,
  })
  const decays = ({ rank, name }: Variable): boolean => rank >= 2 && !/token|pos_embed/.test(name)
  return [true, false]
    .map(decayed => ({
      parameters: parameters.filter(parameter => decays(parameter) === decayed),
      rule: adamW({ weightDecay: decayed ? weightDecay : 0 }),
      learningRate: schedule,
    }))
    .filter(group => group.parameters.length > 0)
}
