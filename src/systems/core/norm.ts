import {
  batchNorm,
  channelLayerNorm,
  conv,
  groupNorm,
  instanceNorm,
  l2Normalize,
  layerNorm,
  rmsNorm,
  sizeOf,
  standardiseWeight,
  type Tensor,
} from '../../core/index.ts'
import type { CaseTable, GoldenCase, Outputs } from '../golden.ts'

/** Weight and bias, where the case has them. */
const affineOf = (c: GoldenCase): { weight?: Tensor; bias?: Tensor } =>
  Object.fromEntries(['weight', 'bias'].filter(name => c.has('param', name)).map(name => [name, c.param(name)]))

/** Reads `_e6` as 1e-6; PyTorch's default is 1e-5. */
const epsilonOf = (exponent: string | undefined, other = 1e-5): number =>
  exponent === undefined ? other : 10 ** -Number(exponent)

/** Normalisation by the batch, and PyTorch's running statistics after it. */
function trainedBatchNorm(c: GoldenCase, momentum: number, epsilon: number): Outputs {
  const x = c.in('x')
  const { output, mean, variance } = batchNorm(x, { ...affineOf(c), epsilon })
  const count = sizeOf(x.shape) / x.shape[1]
  const after = (before: Tensor, batch: Tensor): Tensor => before.mul(1 - momentum).add(batch.mul(momentum))
  return {
    y: output,
    running_mean_after: after(c.in('running_mean_before'), mean),
    running_var_after: after(c.in('running_var_before'), variance.mul(count / (count - 1))),
  }
}

/** Cases of `core.norm`; constants that no name says are in the golden's notes. */
export const normCases: CaseTable = {
  cases: [
    [
      /^batch_norm(?:\dd)?_eval$/,
      c => ({
        y: batchNorm(c.in('x'), { ...affineOf(c), mean: c.in('running_mean'), variance: c.in('running_var') }).output,
      }),
    ],
    // The reference with momentum 0.01 is also the one with another epsilon.
    [/^batch_norm(?:\dd)?_train_m01$/, c => trainedBatchNorm(c, 0.01, 1e-3)],
    [/^batch_norm(?:\dd)?_train$/, c => trainedBatchNorm(c, 0.1, 1e-5)],
    [/^group_norm_(\d+)$/, (c, [, groups]) => ({ y: groupNorm(c.in('x'), Number(groups), affineOf(c)) })],
    [/^instance_norm$/, c => ({ y: instanceNorm(c.in('x'), affineOf(c)) })],
    [/^l2_normalize$/, c => ({ y: l2Normalize(c.in('x')) })],
    [
      /^layer_norm_channels_first(?:_e(\d+))?$/,
      (c, [, exponent]) => ({
        y: channelLayerNorm(c.in('x'), { ...affineOf(c), epsilon: epsilonOf(exponent, 1e-6) }),
      }),
    ],
    [
      /^layer_norm(?:_last|_chw)?(?:_e(\d+))?(?:_noaffine)?$/,
      (c, [, exponent]) => {
        const axes = c.has('param', 'weight') ? c.param('weight').rank : 1
        return { y: layerNorm(c.in('x'), { ...affineOf(c), axes, epsilon: epsilonOf(exponent) }) }
      },
    ],
    [
      /^rms_norm(?:_e(\d+))?$/,
      (c, [, exponent]) => ({ y: rmsNorm(c.in('x'), { ...affineOf(c), epsilon: epsilonOf(exponent, 1e-6) }) }),
    ],
    [
      /^weight_standardised_conv$/,
      c => {
        const weight = c.param('weight')
        return { y: conv(c.in('x'), standardiseWeight(weight), { padding: (weight.shape[2] - 1) / 2 }) }
      },
    ],
  ],
}
