import type { ModelKind, PictureFormat } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { claim } from './claim.ts'
import { CrossVit, MultiConvPatchEmbed, MultiScaleBlock } from './crossvit.ts'
import { ClassTokenCrossAttention, CrossAttentionBlock, MultiScaleFusion } from './fusion.ts'
import { loadCrossVit, official } from './official.ts'

/** Two patch sizes, the large one twice the small, and the multiples of them that are nearest to the pictures' side. */
function defaults({ size: [height, width] }: PictureFormat) {
  if (height !== width)
    throw new Error(`crossvit needs square pictures, these are ${height}x${width}; give a square --size`)
  const small = height <= 32 ? 4 : height <= 96 ? 6 : 12
  const patches = [small, small === 12 ? 16 : 2 * small]
  return { ...sized(height, patches), ...(height <= 32 ? narrow : {}) }
}

const narrow = { dims: [64, 128], depths: [1, 2].map(() => [1, 2]), heads: [4, 4] }

const sized = (side: number, patches: readonly number[]) => ({
  patches,
  sizes: patches.map(patch => Math.max(1, Math.round(side / patch)) * patch),
})

const model: ModelKind = {
  summary: 'two transformers with patches of two sizes that exchange class tokens (Chen et al. 2021)',
  defaults,
  // Patches given by the user, as in {"patches":[4,8]}, set the sizes that the branches see.
  build: (format, options) => {
    const patches = options.patches as readonly number[] | undefined
    const fitting = patches && !fits(options.sizes, patches) ? sized(format.size[0], patches) : {}
    return new CrossVit({ channels: format.channels, classes: format.classes, ...options, ...fitting })
  },
  training: { learningRate: 1e-3, weightDecay: 0.05, labelSmoothing: 0.1, epochs: 30, batchSize: 128 },
}

/** Whether sizes are given that the patches divide. */
const fits = (sizes: unknown, patches: readonly number[]): boolean =>
  Array.isArray(sizes) && sizes.length === patches.length && patches.every((patch, i) => sizes[i] % patch === 0)

const three = (depths: readonly number[]): number[][] => [1, 2, 3].map(() => [...depths])

export const system: System = {
  id: 'crossvit',
  title: 'CrossViT',
  paper: {
    title: 'CrossViT: Cross-Attention Multi-Scale Vision Transformer for Image Classification',
    year: 2021,
    arxiv: '2103.14899',
    venue: 'ICCV',
  },
  task: 'classify',
  summary:
    'Transformers that see a picture in small and in large patches and exchange what they know through their class tokens: one token asks, the patches of the other branch answer, at a cost that grows linearly.',
  pieces: {
    ClassTokenCrossAttention,
    CrossAttentionBlock,
    MultiScaleFusion,
    MultiScaleBlock,
    MultiConvPatchEmbed,
    CrossVit,
    loadCrossVit,
  },
  official,
  claim,
  command: 'tenet train classify --data pictures --model crossvit --options \'{"patches":[4,8]}\'',
  model,
  sizes: [
    {
      name: 'Tiny',
      options: { classes: 1000, dims: [96, 192], depths: three([1, 4]), heads: [3, 3], mlpRatios: [4, 4] },
      pictureSize: 240,
    },
    {
      name: 'Small',
      options: { classes: 1000, dims: [192, 384], depths: three([1, 4]), heads: [6, 6], mlpRatios: [4, 4] },
      pictureSize: 240,
    },
    {
      name: 'Base',
      options: { classes: 1000, dims: [384, 768], depths: three([1, 4]), heads: [12, 12], mlpRatios: [4, 4] },
      pictureSize: 240,
    },
    { name: '9', options: { classes: 1000 }, pictureSize: 240 },
    { name: '9†', options: { classes: 1000, multiConv: true }, pictureSize: 240 },
    {
      name: '15',
      options: { classes: 1000, dims: [192, 384], depths: three([1, 5]), heads: [6, 6] },
      pictureSize: 240,
    },
    {
      name: '18',
      options: { classes: 1000, dims: [224, 448], depths: three([1, 6]), heads: [7, 7] },
      pictureSize: 240,
    },
  ],
}
