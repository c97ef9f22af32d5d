import {
  MultiScaleDeformableAttention,
  MultiScaleDeformableSelfAttention,
  msDeformAttention,
} from '../../../nn/deformable-attention.ts'
import type { SegmenterKind } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { claim } from './claim.ts'
import { CnnBranch } from './cnn-branch.ts'
import { CtiStage, CtiToCnn, CtiToViT, LevelInteraction, MRFP } from './interaction.ts'
import { loadDeformableAttention, loadViTCoMer, official } from './official.ts'
import { DenseVit, type DenseVitOptions } from './plain-vit.ts'
import { PyramidSegmenter } from './pyramid-segmenter.ts'
import { SimplePyramid } from './simple-pyramid.ts'
import { ViTCoMer, type ViTCoMerOptions } from './vit-comer.ts'

/** Options of `--model vit-comer`: those of the transformer and those of what stands beside it. */
interface SegmenterOptions {
  readonly vit?: DenseVitOptions
  readonly comer?: ViTCoMerOptions
}

const segmenter: SegmenterKind = {
  summary: 'plain ViT beside a convolutional pyramid, features exchanged both ways (Xia et al. 2024)',
  defaults: ({ size }) => {
    // Pictures are padded to whole pairs of patches; small ones get patches of 8 and a finer pyramid.
    const fine = Math.min(...size) < 128
    const patch = fine ? 8 : 16
    const grid = size.map(side => 2 * Math.ceil(side / (2 * patch)))
    const [dim, heads] = fine ? [96, 4] : [192, 3]
    return {
      vit: { patch, dim, heads, depth: 4, grid },
      comer: {
        stages: 4,
        heads: fine ? 4 : 6,
        points: 4,
        cnnWidth: 32,
        pyramidRatio: 1.5,
        extra: 1,
        finestStride: patch / 4,
        positionGrid: grid,
        padding: true,
      },
    }
  },
  build: ({ channels, classes }, { vit, comer }: SegmenterOptions) =>
    new PyramidSegmenter(new ViTCoMer(new DenseVit({ channels, ...vit }), comer), classes),
  training: { learningRate: 1e-3, weightDecay: 0.01, labelSmoothing: 0, epochs: 40, batchSize: 16 },
}

export const system: System = {
  id: 'vit-comer',
  title: 'ViT-CoMer',
  paper: {
    title: 'ViT-CoMer: Vision Transformer with Convolutional Multi-scale Feature Interaction for Dense Predictions',
    year: 2024,
    arxiv: '2403.07392',
    venue: 'CVPR',
  },
  task: 'segment',
  summary:
    'Makes a plain vision transformer a backbone for dense prediction: a small convolutional pyramid runs beside it, and the two exchange features both ways by attention that reads several maps at a few learned places.',
  pieces: {
    msDeformAttention,
    MultiScaleDeformableAttention,
    MultiScaleDeformableSelfAttention,
    MRFP,
    LevelInteraction,
    CtiToViT,
    CtiToCnn,
    CtiStage,
    CnnBranch,
    DenseVit,
    ViTCoMer,
    SimplePyramid,
    PyramidSegmenter,
    loadViTCoMer,
    loadDeformableAttention,
  },
  official,
  claim,
  command: 'tenet train segment --data pictures --model vit-comer',
  segmenters: { 'vit-comer': segmenter },
}
