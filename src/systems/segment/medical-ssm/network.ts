import type { Tensor } from '../../../core/index.ts'
import { Identity, LayerNorm, Module, type ScanPattern } from '../../../nn/index.ts'
import { S4Map, SS2D } from './ss2d.ts'
import { type MapModule, ResidualUnet, type ResidualUnetOptions } from './u-mamba.ts'

/** What a network of the survey is made of, one member a slot. */
export interface SsmSlots {
  /** `s6`: input-dependent (Mamba). `s4`: the same at all steps (S4D). */
  readonly core: 's4' | 's6'
  /** Routes over a map: one direction, both, or rows and columns in both. */
  readonly scan: ScanPattern
  /** Where it sits: at the deepest map, after every second encoder stage, or after every stage. */
  readonly placement: 'none' | 'bottleneck' | 'encoder' | 'everywhere'
}

/** Members of each slot. */
export const slots: { readonly [K in keyof SsmSlots]: readonly SsmSlots[K][] } = {
  core: ['s6', 's4'],
  scan: ['forward', 'both', 'cross'],
  placement: ['none', 'bottleneck', 'encoder', 'everywhere'],
}

/** LN and a mixer of maps with channels first; the result replaces the map, as in U-Mamba. */
export class SsmLayer extends Module {
  readonly norm: LayerNorm
  readonly mixer: SS2D | S4Map

  constructor(dim: number, core: SsmSlots['core'], scan: ScanPattern, states = 16) {
    super()
    this.norm = new LayerNorm(dim)
    this.mixer = core === 's6' ? new SS2D(dim, { scan, states }) : new S4Map(dim, { scan, states })
  }

  /** [batch, channels, height, width] -> the same shape */
  override forward(map: Tensor): Tensor {
    const mixed = this.mixer.forward(this.norm.forward(map.rearrange('b c h w -> b h w c')))
    return mixed.rearrange('b h w c -> b c h w')
  }
}

export interface SsmUnetOptions
  extends Partial<SsmSlots>,
    Omit<ResidualUnetOptions, 'stageMixers' | 'bottleneck' | 'decoderMixers'> {
  readonly states?: number
}

/**
 * A residual U-Net with a state-space model of any core and scan at any place, so that they compare on equal terms.
 * @throws naming the members of a slot that has not the one asked for
 */
export function ssmUnet(options: SsmUnetOptions): ResidualUnet {
  const { core = 's6', scan = 'forward', placement = 'bottleneck', states, ...rest } = options
  for (const [slot, member] of Object.entries({ core, scan, placement })) {
    const members: readonly string[] = slots[slot as keyof SsmSlots]
    if (!members.includes(member))
      throw new Error(`ssmUnet: there is no ${slot} '${member}'; there are: ${members.join(', ')}`)
  }
  const { widths } = options
  const layer = (i: number): MapModule => new SsmLayer(widths[i], core, scan, states)
  const last = widths.length - 1
  if (placement === 'none') return new ResidualUnet(rest)
  if (placement === 'bottleneck') return new ResidualUnet({ ...rest, bottleneck: layer(last) })
  const chosen = (i: number): boolean => placement === 'everywhere' || (last - i) % 2 === 0
  return new ResidualUnet({
    ...rest,
    stageMixers: widths.map((_, i) => (chosen(i) ? layer(i) : new Identity())),
    decoderMixers: placement === 'everywhere' ? widths.slice(1).map((_, s) => layer(last - 1 - s)) : undefined,
  })
}
