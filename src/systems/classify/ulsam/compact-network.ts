import { type MobileNet, mobileNetV1 } from '../../../nn/index.ts'
import { type UlsamMode, withUlsam } from './with-ulsam.ts'

export interface CompactUlsamOptions {
  readonly channels: number
  readonly classes: number
  readonly stemWidth?: number
  readonly stemStride?: number
  /** Width and stride of each depthwise separable block. */
  readonly stages?: readonly (readonly [width: number, stride: number])[]
  /** Places of ULSAM, counted with the stem as 0; default all blocks that keep width and size but the first of them. */
  readonly positions?: readonly number[]
  /** Groups of channels with an attention map each; default 4. */
  readonly groups?: number
  readonly mode?: UlsamMode
  /** Share of a new batch in ULSAM's running statistics; default 0.1. */
  readonly momentum?: number
}

/** Blocks of the small network: three halvings from 32 pixels to 4. */
const smallStages: readonly (readonly [number, number])[] = [
  [32, 2],
  [64, 2],
  [64, 1],
  [64, 1],
  [64, 1],
  [128, 2],
]

/** A MobileNet of the first version with ULSAM in place of blocks, or after them. Source: Saini et al. 2020, section 4 */
export function compactUlsam(options: CompactUlsamOptions): MobileNet {
  const { channels, classes, stemWidth = 16, stemStride = 1, stages = smallStages } = options
  const { groups = 4, mode = 'replace', momentum } = options
  const network = mobileNetV1({ channels, classes, stemWidth, stemStride, stages })
  const replaceable = network.blocks.flatMap(({ inChannels, outChannels, stride }, i) =>
    i > 0 && stride === 1 && inChannels === outChannels ? [i] : [],
  )
  return withUlsam(network, options.positions ?? replaceable.slice(1), groups, mode, { momentum })
}
