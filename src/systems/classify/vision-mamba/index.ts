import {
  BiMambaMixer,
  CausalDepthwiseConv1d,
  MambaMixer,
  RmsNorm,
  scanSteps,
  selectiveScan,
  selectiveStep,
} from '../../../nn/index.ts'
import type { ModelKind, PictureFormat } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { claim } from './claim.ts'
import { embedPictures } from './embed.ts'
import { loadVim, official } from './official.ts'
import { GridRotary } from './rotary.ts'
import { Vim, VimEncoder, VimLabeller } from './vim.ts'

/** The largest patch that divides both sides and leaves at least 49 of them. */
function patchFor({ size: [height, width] }: PictureFormat): number {
  for (const patch of [16, 14, 8, 7, 6, 5, 4, 3, 2])
    if (height % patch === 0 && width % patch === 0 && (height / patch) * (width / patch) >= 49) return patch
  return 1
}

const model: ModelKind = {
  summary: 'bidirectional Mamba over patches (Zhu et al. 2024)',
  defaults: format => {
    const small = Math.max(...format.size) <= 32
    return {
      patch: patchFor(format),
      dim: small ? 96 : 192,
      depth: small ? 4 : 6,
      mixer: { states: small ? 8 : 16 },
    }
  },
  build: (format, options) => new Vim({ ...format, ...options }),
  training: { learningRate: 2e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 20, batchSize: 128 },
}

const published = (name: string, dim: number, parameters: number) => ({
  name,
  options: { patch: 16, dim, depth: 24, mixer: { states: 16 } },
  pictureSize: 224,
  parameters,
})

export const system: System = {
  id: 'vision-mamba',
  title: 'Vim',
  paper: {
    title: 'Vision Mamba: Efficient Visual Representation Learning with Bidirectional State Space Model',
    year: 2024,
    arxiv: '2401.09417',
    venue: 'ICML',
  },
  task: 'classify',
  summary:
    'A plain vision transformer whose attention is replaced by selective state-space scans of the patches in both directions, with the class token in the middle. Cost and memory grow linearly with the number of patches.',
  pieces: {
    selectiveScan,
    scanSteps,
    selectiveStep,
    CausalDepthwiseConv1d,
    MambaMixer,
    BiMambaMixer,
    RmsNorm,
    GridRotary,
    VimEncoder,
    Vim,
    VimLabeller,
    loadVim,
    embedPictures,
  },
  official,
  claim,
  command: 'tenet train classify --data pictures --model vision-mamba',
  model,
  sizes: [published('Tiny', 192, 7), published('Small', 384, 26), published('Base', 768, 98)],
}
