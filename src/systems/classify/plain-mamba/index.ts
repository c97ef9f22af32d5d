import type { ModelKind, PictureFormat } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { ConvPatchEmbed, PlainMamba, PlainMambaBackbone, PlainMambaLabeller, PlainMambaLayer } from './backbone.ts'
import { claim } from './claim.ts'
import { architectures, loadPlainMamba, loadPlainMambaClassifier, official } from './official.ts'
import { directionAwareScan2d, PlainMamba2d } from './plain-mamba-2d.ts'
import { gridPaths, snakeOrders } from './snake-orders.ts'

/** The largest even patch that leaves a grid of at least 36 cells. */
function patchFor({ size: [height, width] }: PictureFormat): number {
  for (const patch of [16, 8, 4])
    if (Math.ceil(height / patch) * Math.ceil(width / patch) >= 36 && Math.min(height, width) >= patch) return patch
  return 2
}

const model: ModelKind = {
  summary: 'Mamba along four continuous paths over a grid (Yang et al. 2024)',
  defaults: format => {
    const small = Math.max(...format.size) <= 32
    if (Math.min(...format.size) < 2)
      throw new Error(`plain-mamba needs pictures of at least 2x2 pixels, these are ${format.size.join('x')}`)
    return {
      patch: patchFor(format),
      dim: small ? 96 : 192,
      depth: small ? 4 : 6,
      stemWidth: small ? 32 : 64,
      convolvedLayers: [0],
      mixer: { states: small ? 8 : 16 },
    }
  },
  build: (format, options) => new PlainMamba({ ...format, ...options }),
  training: { learningRate: 2e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 20, batchSize: 128 },
}

const published = (name: string, parameters: number) => ({
  name,
  options: { patch: 16, stemWidth: 64, mixer: { states: 16 }, ...architectures[name] },
  pictureSize: 224,
  parameters,
})

export const system: System = {
  id: 'plain-mamba',
  title: 'PlainMamba',
  paper: {
    title: 'PlainMamba: Improving Non-Hierarchical Mamba in Visual Recognition',
    year: 2024,
    arxiv: '2403.17695',
    venue: 'BMVC',
  },
  task: 'classify',
  summary:
    'A stack of equal Mamba layers at one resolution, each scanning the grid of patches along four snake-like paths, so that successive patches are neighbours, with a learned vector for the direction of every step.',
  pieces: {
    snakeOrders,
    gridPaths,
    directionAwareScan2d,
    PlainMamba2d,
    ConvPatchEmbed,
    PlainMambaLayer,
    PlainMambaBackbone,
    PlainMamba,
    PlainMambaLabeller,
    loadPlainMamba,
    loadPlainMambaClassifier,
  },
  official,
  claim,
  command: 'tenet train classify --data pictures --model plain-mamba',
  model,
  // The paper counts the backbone without the classifier of 1,000 classes.
  sizes: [published('L1', 7.3), published('L2', 25.7), published('L3', 50.5)],
}
