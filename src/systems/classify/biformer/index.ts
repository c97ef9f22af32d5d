import { DepthwiseConv } from '../../../nn/depthwise.ts'
import { regionMerge, regionPartition } from '../../../nn/regions.ts'
import { BiLevelRoutingAttention, routedAttention, TopKRouter } from '../../../nn/routing-attention.ts'
import type { ModelKind, PictureFormat } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { BiFormer, BiFormerBlock } from './biformer.ts'
import { claim } from './claim.ts'
import { routedRegions } from './explain.ts'
import { loadBiFormer, loadBiLevelRoutingAttention, official } from './official.ts'

/** Regions along a side by the size of pictures; maps that do not divide into them are padded. */
function defaults({ size }: PictureFormat) {
  const side = Math.max(...size)
  const regions = side <= 48 ? 2 : side < 160 ? 4 : 7
  const mixing = regions === 2 ? [1, 2, 4, 'fullLepe'] : [1, 4, 16, 'fullLepe']
  const small = { dims: [32, 64, 128, 192], depths: [1, 1, 2, 1], headDim: 16 }
  return {
    ...(side < 160 ? small : { dims: [64, 128, 256, 512], depths: [2, 2, 8, 2] }),
    regions,
    mixing,
    padding: true,
  }
}

const model: ModelKind = {
  summary: 'pyramid whose regions attend to the regions that fit them (Zhu et al. 2023)',
  defaults,
  build: (format, options) => new BiFormer({ ...format, ...options }),
  training: { learningRate: 2e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 30, batchSize: 128 },
}

export const system: System = {
  id: 'biformer',
  title: 'BiFormer',
  paper: {
    title: 'BiFormer: Vision Transformer with Bi-Level Routing Attention',
    year: 2023,
    arxiv: '2303.08810',
    venue: 'CVPR',
  },
  task: 'classify',
  summary:
    'A vision pyramid whose attention is sparse by content: every region of a map finds the few regions that fit its mean query best, and its tokens attend to all tokens of those.',
  pieces: {
    regionPartition,
    regionMerge,
    TopKRouter,
    routedAttention,
    LePE: DepthwiseConv,
    BiLevelRoutingAttention,
    BiFormerBlock,
    BiFormer,
    routedRegions,
    loadBiFormer,
    loadBiLevelRoutingAttention,
  },
  official,
  claim,
  command: 'tenet train classify --data pictures --model biformer',
  model,
  sizes: [
    { name: 'T', options: { classes: 1000 }, pictureSize: 224, parameters: 13.1, flops: 2.2 },
    {
      name: 'S',
      options: { classes: 1000, depths: [4, 4, 18, 4] },
      pictureSize: 224,
      parameters: 25.5,
      flops: 4.5,
    },
    {
      name: 'B',
      options: { classes: 1000, dims: [96, 192, 384, 768], depths: [4, 4, 18, 4] },
      pictureSize: 224,
      parameters: 56.8,
      flops: 9.8,
    },
  ],
}
