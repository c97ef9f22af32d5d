import type { ModelKind, PictureFormat } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { claim } from './claim.ts'
import { DAFF } from './daff.ts'
import { DHVT, DhvtBlock } from './dhvt.ts'
import { HeadInteractionAttention } from './head-interaction.ts'
import { loadDhvt, official } from './official.ts'
import { Affine, patchSizes, SOPE } from './sope.ts'

/** The largest patch that leaves at least 49 of them, else the smallest. */
const patchFor = (side: number): number =>
  [...patchSizes].reverse().find(patch => Math.ceil(side / patch) ** 2 >= 49) ?? patchSizes[0]

function defaults({ size: [height, width] }: PictureFormat) {
  const patch = patchFor(Math.min(height, width))
  if (Math.ceil(height / patch) !== Math.ceil(width / patch))
    throw new Error(
      `dhvt: pictures of ${height}x${width} do not make a square of patches of ${patch}; give square pictures`,
    )
  const small = Math.max(height, width) <= 32
  return { patch, dim: small ? 96 : 192, depth: small ? 4 : 6, heads: 4, dropPath: 0.05 }
}

const model: ModelKind = {
  summary: 'hybrid of transformer and convolutions for few pictures (Lu et al. 2022)',
  defaults,
  build: (format, options) => new DHVT({ ...format, ...options }),
  training: { learningRate: 2e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 30, batchSize: 64 },
}

const published = (
  name: string,
  options: Readonly<Record<string, unknown>>,
  pictureSize: number,
  counts: { readonly parameters: number; readonly flops?: number },
) => ({ name, options, pictureSize, ...counts })

export const system: System = {
  id: 'dhvt',
  title: 'DHVT',
  paper: {
    title: 'Bridging the Gap Between Vision Transformers and Convolutional Neural Networks on Small Datasets',
    year: 2022,
    arxiv: '2210.05958',
    venue: 'NeurIPS',
  },
  task: 'classify',
  summary:
    'A plain vision transformer with the bias of convolutions where few pictures cannot teach it: overlapping convolutional patches, feed-forwards that are depthwise convolution blocks and weigh the class token, and head tokens through which the heads speak to each other.',
  pieces: { Affine, SOPE, HeadInteractionAttention, DAFF, DhvtBlock, DHVT, loadDhvt },
  official,
  claim,
  command: 'tenet train classify --data pictures --model dhvt',
  model,
  sizes: [
    published('S, CIFAR-100', { classes: 100, patch: 2, dim: 384, depth: 12, heads: 8 }, 32, { parameters: 22.8 }),
    published('T, ImageNet', { classes: 1000, patch: 16, dim: 192, depth: 12, heads: 3 }, 224, {
      parameters: 6.2,
      flops: 1.4,
    }),
    published('S, ImageNet', { classes: 1000, patch: 16, dim: 384, depth: 12, heads: 6 }, 224, {
      parameters: 24,
      flops: 5.1,
    }),
  ],
}
