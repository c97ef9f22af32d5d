import {
  abs,
  clip,
  cumulativeSum,
  elu,
  erf,
  euclideanDistances,
  exp,
  gelu,
  geluTanh,
  glu,
  hardSigmoid,
  hardSwish,
  l2Normalize,
  leakyRelu,
  log1p,
  logSigmoid,
  logSoftmax,
  logSumExp,
  mish,
  prelu,
  quickGelu,
  relu6,
  selu,
  sigmoid,
  silu,
  slice,
  softmax,
  softplus,
  sort,
  sqrt,
  standardDeviation,
  sum,
  type Tensor,
  tanh,
  topK,
  variance,
} from '../../core/index.ts'
import type { CaseBuilder, CaseTable } from '../golden.ts'

const of =
  (f: (x: Tensor, ...named: string[]) => Tensor): CaseBuilder =>
  (c, [, ...named]) => ({ y: f(c.in('x'), ...named) })

/** The first half of the rows against the second, which is how the reference makes two sets of one tensor. */
function halves(x: Tensor): [Tensor, Tensor] {
  const cut = Math.floor(x.shape[0] / 2)
  return [slice(x, 0, 0, cut), slice(x, 0, cut)]
}

/** A trailing odd column is left out, as halves need an even number. */
const evenColumns = (x: Tensor): Tensor => slice(x, -1, 0, x.shape[x.rank - 1] - (x.shape[x.rank - 1] % 2))

/** Cases of `core.activation`; constants that no name says are in the golden's notes. */
export const activationCases: CaseTable = {
  cases: [
    [/^abs_sqrt$/, of(x => sqrt(abs(x).add(0.1)))],
    [/^cdist$/, of(x => euclideanDistances(...halves(x)))],
    [/^clamp$/, of(x => clip(x, -1, 2))],
    [
      /^cosine_sim$/,
      of(x => {
        const [a, b] = halves(x)
        return sum(l2Normalize(a, { epsilon: 1e-8 }).mul(l2Normalize(b, { epsilon: 1e-8 })), -1)
      }),
    ],
    [/^cumsum$/, of(x => cumulativeSum(x))],
    [/^elu$/, of(x => elu(x))],
    [/^erf$/, of(erf)],
    [/^gelu_(exact|tanh)$/, of((x, form) => (form === 'tanh' ? geluTanh(x) : gelu(x)))],
    [/^glu$/, of(x => glu(evenColumns(x)))],
    [/^hardsigmoid$/, of(x => hardSigmoid(x))],
    [/^hardswish$/, of(hardSwish)],
    [/^leaky_relu$/, of(x => leakyRelu(x, 0.1))],
    [/^log1p_exp$/, of(x => log1p(exp(abs(x).neg())))],
    [/^log_softmax$/, of(x => logSoftmax(x))],
    [/^logsigmoid$/, of(logSigmoid)],
    [/^logsumexp$/, of(x => logSumExp(x, -1))],
    [/^mish$/, of(mish)],
    [/^prelu$/, c => ({ y: prelu(c.in('x'), c.param('weight')) })],
    [/^quick_gelu$/, of(quickGelu)],
    [/^relu6$/, of(relu6)],
    [/^selu$/, of(selu)],
    [/^sigmoid$/, of(sigmoid)],
    [/^silu$/, of(silu)],
    [/^softmax(?:_dim(\d+))?$/, of((x, axis) => softmax(x, axis === undefined ? -1 : Number(axis)))],
    [/^softplus$/, of(softplus)],
    [/^sort$/, of(x => sort(x, { descending: true }))],
    [/^std$/, of(x => standardDeviation(x, -1, { correction: 1 }))],
    [/^tanh$/, of(tanh)],
    [/^topk(\d+)$/, of((x, k) => topK(x, Number(k)).values)],
    [/^var_pop$/, of(x => variance(x, -1))],
  ],
}
