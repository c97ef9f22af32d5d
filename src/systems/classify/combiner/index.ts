import type { ModelKind, PictureFormat } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { attentionCost, logitsPerToken } from './attention-cost.ts'
import { claim } from './claim.ts'
import { CombinerClassifier } from './classifier.ts'
import { CombinerAttention, checkPadding } from './combiner-attention.ts'
import { CombinerBlock, CombinerLanguageModel, positionTable, sampleSequences } from './language-model.ts'
import { loadCombinerAttention, official } from './official.ts'
import { axialAttention, fixedAttention, logsparseAttention, mixtureAttention } from './patterns.ts'
import { jointSoftmax, prefixSummary, regionSummary } from './regions.ts'

/** The largest patch that divides both sides and leaves at least 49 of them: Combiner is for long sequences. */
function patchFor({ size: [height, width] }: PictureFormat): number {
  for (const patch of [16, 14, 8, 7, 6, 5, 4, 3, 2])
    if (height % patch === 0 && width % patch === 0 && (height / patch) * (width / patch) >= 49) return patch
  return 1
}

/** More of them are better made of larger patches. */
const mostPatches = 4096

const model: ModelKind = {
  summary: 'transformer that sees other rows of patches as regions (Ren et al. 2021)',
  defaults: format => {
    const small = Math.max(...format.size) <= 32
    const patch = patchFor(format)
    const patches = (format.size[0] / patch) * (format.size[1] / patch)
    if (patches > mostPatches)
      throw new Error(
        `combiner: pictures of ${format.size.join('x')} divide into no fewer than ${patches} patches; bring them to sides with a common divisor, such as multiples of 16`,
      )
    return { patch, dim: small ? 96 : 192, depth: small ? 4 : 6, heads: 4 }
  },
  build: (format, options) => new CombinerClassifier({ ...format, ...options }),
  training: { learningRate: 1.5e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 30, batchSize: 128 },
}

export const system: System = {
  id: 'combiner',
  title: 'Combiner',
  paper: {
    title: 'Combiner: Full Attention Transformer with Sparse Computation Cost',
    year: 2021,
    arxiv: '2107.05768',
    venue: 'NeurIPS',
  },
  task: 'classify',
  summary:
    'Attention in which every position sees every other at less than quadratic cost: nearby ones directly, the rest through abstractions of regions, in one softmax, so that the weights are a distribution over all positions.',
  pieces: {
    CombinerAttention,
    regionSummary,
    prefixSummary,
    jointSoftmax,
    fixedAttention,
    logsparseAttention,
    axialAttention,
    mixtureAttention,
    checkPadding,
    CombinerBlock,
    CombinerLanguageModel,
    sampleSequences,
    positionTable,
    CombinerClassifier,
    attentionCost,
    logitsPerToken,
    loadCombinerAttention,
  },
  official,
  claim,
  command: 'tenet train classify --data pictures --model combiner',
  model,
}
