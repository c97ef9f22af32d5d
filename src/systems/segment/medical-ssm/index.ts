import { crossMerge2d, crossScan2d, crossUnscan2d, selectiveScan } from '../../../nn/index.ts'
import type { PictureFormat, SegmenterKind } from '../../../tasks/index.ts'
import type { System } from '../../system.ts'
import { claim } from './claim.ts'
import { bceDiceLoss, ceDiceLoss } from './losses.ts'
import { SsmLayer, slots, ssmUnet } from './network.ts'
import { loadSs2d, loadUMamba, loadVmUnet, official } from './official.ts'
import { discretise, S4Layer, s4Convolve, s4Kernel, s4Recurrence, s4Step } from './s4.ts'
import { S6Layer, selectiveCopying } from './selective-copying.ts'
import { S4Map, SS2D } from './ss2d.ts'
import { MambaLayer, ResidualUnet, type ResidualUnetOptions, UMambaBot, UMambaEnc } from './u-mamba.ts'
import { PatchExpand, PatchMerging, VMUNet, type VmUnetOptions, VSSBlock } from './vm-unet.ts'

const training = { learningRate: 1e-3, weightDecay: 0.01, labelSmoothing: 0, epochs: 40, batchSize: 16 }

/** As many stages as halvings fit into both sides, from `most` down to 2; each divides by 2 after the first by `first`. */
function stagesFor(model: string, { size }: PictureFormat, first: number, most: number): number {
  for (let stages = most; stages >= 2; stages--)
    if (size.every(side => side % (first * 2 ** (stages - 1)) === 0)) return stages
  throw new Error(`${model} needs pictures whose sides are multiples of ${2 * first}, these are ${size.join('x')}`)
}

const widthsFor = (model: string, format: PictureFormat): { widths: number[] } => ({
  widths: [16, 32, 64, 128].slice(0, stagesFor(model, format, 1, 4)),
})

const vmUnet: SegmenterKind = {
  summary: 'U-shaped network of visual state-space blocks with four scan routes (Ruan & Xiang 2024)',
  defaults: format => {
    const stages = stagesFor('vm-unet', format, 4, 4)
    return {
      dims: [32, 64, 128, 256].slice(0, stages),
      depths: [2, 2, 2, 2].slice(0, stages),
      depthsDecoder: [2, 2, 2, 1].slice(4 - stages),
    }
  },
  build: ({ channels, classes }, options) => new VMUNet({ channels, classes, ...options } as VmUnetOptions),
  training,
}

const uMambaBot: SegmenterKind = {
  summary: 'residual U-Net with Mamba at the bottleneck (Ma et al. 2024)',
  defaults: format => widthsFor('u-mamba-bot', format),
  build: ({ channels, classes }, options) => new UMambaBot({ channels, classes, ...options } as ResidualUnetOptions),
  training,
}

const uMambaEnc: SegmenterKind = {
  summary: 'residual U-Net with Mamba after every second encoder stage (Ma et al. 2024)',
  defaults: format => widthsFor('u-mamba-enc', format),
  build: ({ channels, classes, size }, options) =>
    new UMambaEnc({ channels, classes, size, ...(options as Pick<ResidualUnetOptions, 'widths'>) }),
  training,
}

const ssmUnetKind: SegmenterKind = {
  summary: 'residual U-Net with any state-space core, scan and placement',
  defaults: format => ({ ...widthsFor('ssm-unet', format), core: 's6', scan: 'cross', placement: 'bottleneck' }),
  build: ({ channels, classes }, options) =>
    ssmUnet({ channels, classes, ...(options as Pick<ResidualUnetOptions, 'widths'>) }),
  training,
}

export const system: System = {
  id: 'medical-ssm',
  title: 'Medical SSM',
  paper: {
    title: 'Computation-Efficient Era: A Comprehensive Survey of State Space Models in Medical Image Analysis',
    year: 2024,
    arxiv: '2406.03430',
  },
  task: 'segment',
  summary:
    'State-space models in segmentation networks, one member for each slot of the survey: the core (S4 or S6), the scan (one direction, both, or four routes) and the place in a U-shaped network (bottleneck, encoder, everywhere), among them VM-UNet and U-Mamba.',
  pieces: {
    s4Kernel,
    s4Convolve,
    s4Step,
    s4Recurrence,
    discretise,
    S4Layer,
    S6Layer,
    selectiveScan,
    crossScan2d,
    crossUnscan2d,
    crossMerge2d,
    SS2D,
    S4Map,
    VSSBlock,
    PatchMerging,
    PatchExpand,
    VMUNet,
    MambaLayer,
    ResidualUnet,
    UMambaBot,
    UMambaEnc,
    SsmLayer,
    ssmUnet,
    slots,
    bceDiceLoss,
    ceDiceLoss,
    selectiveCopying,
    loadSs2d,
    loadVmUnet,
    loadUMamba,
  },
  official,
  claim,
  command: 'tenet train segment --data scans --model vm-unet',
  segmenters: { 'vm-unet': vmUnet, 'u-mamba-bot': uMambaBot, 'u-mamba-enc': uMambaEnc, 'ssm-unet': ssmUnetKind },
  sizes: [
    {
      name: 'VM-UNet (ISIC)',
      options: { dims: [96, 192, 384, 768], depths: [2, 2, 2, 2], depthsDecoder: [2, 2, 2, 1] },
      pictureSize: 256,
    },
  ],
}
