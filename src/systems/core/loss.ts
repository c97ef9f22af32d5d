import type { Tensor } from '../../core/index.ts'
import { exp, logSoftmax } from '../../core/index.ts'
import * as nn from '../../nn/index.ts'
import type { CaseBuilder, CaseTable, GoldenCase, Outputs } from '../golden.ts'

type Build = (c: GoldenCase, ...groups: (string | undefined)[]) => Tensor

/** A case with the one output `loss`; the pattern's groups are passed on. */
const loss =
  (build: Build): CaseBuilder =>
  (c, match): Outputs => ({ loss: build(c, ...match.slice(1)) })

/** Reads an option written without its point: `m035` is 0.35, `d2` is 2. */
const decimal = (digits: string): number => Number(digits.startsWith('0') ? `0.${digits.slice(1)}` : digits)

const reduction = (name: string | undefined): nn.Reduction => (name === 'sum' || name === 'none' ? name : 'mean')

/**
 * Words of a cross-entropy case after `ce`, each an option. `ls` without digits smooths by 0.1, and by 0.2 where only
 * `ignore` stands with it, as the reference did.
 */
function crossEntropy(c: GoldenCase, words: string): Tensor {
  const options: Record<string, string> = {}
  for (const word of words.split('_').filter(Boolean)) {
    const [, name, digits] = word.match(/^([a-z]+|2d)(\d*)$/) ?? [word, word, '']
    options[name] = digits
  }
  const smoothed = 'ls' in options
  const usual = 'ignore' in options && !('weight' in options) ? 0.2 : 0.1
  return nn.crossEntropy(c.in('x'), c.in('soft' in options ? 'p' : 'y'), {
    labelSmoothing: smoothed ? (options.ls ? decimal(options.ls) : usual) : 0,
    // PyTorch ignores -100 unless told otherwise.
    ignoreIndex: 'soft' in options ? undefined : options.ignore ? Number(options.ignore) : -100,
    classWeights: 'weight' in options ? c.in('w') : undefined,
    reduction: reduction(['sum', 'none'].find(name => name in options)),
  })
}

/** Boxes a and b of a case: its own, or those of the cases beside it where it has none. */
function boxes(c: GoldenCase): [Tensor, Tensor] {
  return c.has('in', 'a') ? [c.in('a'), c.in('b')] : [c.in('giou.a'), c.in('giou.b')]
}

const pairwise =
  (overlap: (a: Tensor, b: Tensor) => Tensor): CaseBuilder =>
  c => {
    const [a, b] = boxes(c)
    return { '': overlap(a.expandDims(1), b.expandDims(0)) }
  }

const boxLoss = (overlap: (a: Tensor, b: Tensor) => Tensor): CaseBuilder =>
  loss(c =>
    overlap(...boxes(c))
      .neg()
      .add(1)
      .mean(),
  )

const classification: CaseTable['cases'] = [
  [/^ce((?:_[a-z0-9]+)*)$/, loss((c, words) => crossEntropy(c, words!))],
  [/^bce_logits$/, loss(c => nn.binaryCrossEntropy(c.in('x'), c.in('t')))],
  [/^bce_logits_posw$/, loss(c => nn.binaryCrossEntropy(c.in('x'), c.in('t'), { positiveWeight: c.in('pos_weight') }))],
  [/^focal_(sum|mean|none)$/, loss((c, name) => nn.focalLoss(c.in('x'), c.in('t'), { reduction: reduction(name) }))],
  [/^multi_margin$/, loss(c => nn.multiMarginLoss(c.in('x'), c.in('y')))],
  [/^dice_eps(\d+)$/, loss((c, epsilon) => nn.diceLoss(c.in('x'), c.in('m'), { epsilon: decimal(epsilon!) }))],
  [
    /^kl_(batchmean|mean|sum)$/,
    loss((c, name) => nn.klDivergence(logSoftmax(c.in('x')), c.in('p'), name as nn.DivergenceReduction)),
  ],
  [/^js$/, loss(c => nn.jensenShannon(c.in('x'), c.in('z')))],
  [/^distill_T(\d+)$/, loss((c, temperature) => nn.distillation(c.in('x'), c.in('teacher'), Number(temperature)))],
  [/^gauss_kl$/, loss(c => nn.gaussianKl(c.in('mu'), c.in('lv')))],
  [
    /^ctc_(mean|sum|none|zero_infinity)$/,
    loss((c, name) =>
      nn.ctcLoss(c.in('x'), c.in('targets'), c.in('input_lengths'), c.in('target_lengths'), {
        zeroInfinity: name === 'zero_infinity',
        reduction: reduction(name),
      }),
    ),
  ],
]

const metricLearning: CaseTable['cases'] = [
  [
    /^triplet_m(\d+)(_swap)?$/,
    loss((c, margin, swap) =>
      nn.tripletLoss(c.in('a'), c.in('p'), c.in('n'), { margin: decimal(margin!), swap: swap !== undefined }),
    ),
  ],
  [
    /^triplet_cos(?:_m(\d+))?$/,
    loss((c, margin = '05') =>
      nn.tripletLoss(c.in('a'), c.in('p'), c.in('n'), { margin: decimal(margin), distance: nn.cosineDistance }),
    ),
  ],
  [
    /^cosine_embedding_m(\d+)$/,
    loss((c, margin) => nn.cosineEmbeddingLoss(c.in('a'), c.in('p'), c.in('y'), decimal(margin!))),
  ],
  [
    // The reference ranks the first column of each batch.
    /^margin_ranking(?:_m(\d+))?$/,
    loss((c, margin = '01') =>
      nn.marginRankingLoss(c.in('a').at(null, 0), c.in('p').at(null, 0), c.in('y'), decimal(margin)),
    ),
  ],
  [
    /^normsoftmax_s(\d+)$/,
    loss((c, scale) => nn.normalizedSoftmax(c.in('x'), c.param('weight'), c.in('y'), decimal(scale!))),
  ],
  [
    /^(cosface|arcface)_s(\d+)_m(\d+)$/,
    loss((c, name, scale, margin) =>
      (name === 'cosface' ? nn.cosFace : nn.arcFace)(c.in('x'), c.param('weight'), c.in('y'), {
        scale: decimal(scale!),
        margin: decimal(margin!),
      }),
    ),
  ],
]

const selfSupervised: CaseTable['cases'] = [
  [/^clip_infonce$/, loss(c => nn.infoNce(c.in('u'), c.in('v'), exp(c.param('logit_scale'))))],
  [/^nt_xent_t(\d+)$/, loss((c, temperature) => nn.ntXent(c.in('z'), decimal(temperature!)))],
  [
    /^supcon_t(\d+)$/,
    loss((c, temperature) => nn.supervisedContrastive(c.in('z'), c.in('labels'), decimal(temperature!))),
  ],
  // All digits of this weight stand after the point: `l005` is 0.005.
  [/^barlow_l(\d+)$/, loss((c, digits) => nn.barlowTwins(c.in('a'), c.in('b'), Number(`0.${digits}`)))],
  [/^vicreg$/, loss(c => nn.vicReg(c.in('a'), c.in('b')))],
  [/^byol_cos$/, loss(c => nn.bootstrapCosine(c.in('p'), c.in('z')))],
]

const regression: CaseTable['cases'] = [
  [/^mse$/, loss(c => nn.meanSquaredError(c.in('a'), c.in('b')))],
  [/^l1$/, loss(c => nn.meanAbsoluteError(c.in('a'), c.in('b')))],
  [/^huber_d(\d+)$/, loss((c, delta) => nn.huber(c.in('a'), c.in('b'), decimal(delta!)))],
  [/^smooth_l1_b(\d+)$/, loss((c, beta) => nn.smoothL1(c.in('a'), c.in('b'), decimal(beta!)))],
  [/^giou$/, boxLoss(nn.generalizedIou)],
  [/^diou$/, boxLoss(nn.distanceIou)],
  [/^ciou$/, boxLoss(nn.completeIou)],
  [/^pairwise_iou$/, pairwise(nn.boxIou)],
  [/^pairwise_giou$/, pairwise(nn.generalizedIou)],
]

export const lossCases: CaseTable = { cases: [...classification, ...metricLearning, ...selfSupervised, ...regression] }
