import { DepthwiseSeparable, InvertedResidual, MobileNet, mobileNetV1, mobileNetV2 } from '../../../nn/index.ts'
import type { ModelKind, PictureFormat } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { claim } from './claim.ts'
import { compactUlsam } from './compact-network.ts'
import { loadUlsam, official } from './official.ts'
import { SubspaceAttention, ULSAM } from './subspace-attention.ts'
import { attentionMaps, candidates, costOf, upgradeNetwork, withUlsam } from './with-ulsam.ts'

/** Widths grow and maps shrink until about 4 to 8 positions a side are left; ULSAM stands where three blocks are equal. */
function defaults({ size }: PictureFormat) {
  const side = Math.min(...size)
  if (side < 8)
    throw new Error(
      `ulsam: pictures of ${size.join('x')} are too small, maps would have one position; give 8x8 or more`,
    )
  const equal = [
    [64, 1],
    [64, 1],
    [64, 1],
  ]
  if (side <= 32) return { stemWidth: 16, stemStride: 1, stages: [[32, 2], [64, 2], ...equal, [128, 2]] }
  const [more, last] = side > 128 ? [[[64, 2]], [[256, 2]]] : [[], []]
  const wide = equal.map(([width, stride]) => [2 * width, stride])
  return { stemWidth: 32, stemStride: 2, stages: [[64, 1], ...more, [128, 2], ...wide, [256, 2], ...last] }
}

const model: ModelKind = {
  summary: 'MobileNet with attention over subspaces in place of blocks (Saini et al. 2020)',
  defaults,
  build: (format, options) => compactUlsam({ ...format, ...options }),
  training: { learningRate: 4e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 30, batchSize: 128 },
}

export const system: System = {
  id: 'ulsam',
  title: 'ULSAM',
  paper: {
    title: 'ULSAM: Ultra-Lightweight Subspace Attention Module for Compact Convolutional Neural Networks',
    year: 2020,
    arxiv: '2006.15102',
    venue: 'WACV',
  },
  task: 'classify',
  summary:
    'Splits the channels of a feature map into groups and gives each one spatial attention map from a handful of parameters. In place of blocks of a compact network it saves parameters and multiply-adds at nearly equal accuracy.',
  pieces: {
    SubspaceAttention,
    ULSAM,
    withUlsam,
    candidates,
    upgradeNetwork,
    costOf,
    attentionMaps,
    compactUlsam,
    MobileNet,
    mobileNetV1,
    mobileNetV2,
    DepthwiseSeparable,
    InvertedResidual,
    loadUlsam,
  },
  official,
  claim,
  command: 'tenet train classify --data pictures --model ulsam',
  model,
}
