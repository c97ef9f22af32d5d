import { multiplyAdds, placeholder, type Tensor } from '../../../core/index.ts'
import { type MapBlock, type MobileNet, type Module, parameterCount } from '../../../nn/index.ts'
import { type SubspaceOptions, ULSAM } from './subspace-attention.ts'

/** `replace` saves what a block costs; `insert` adds a module after a block, at a small cost. */
export type UlsamMode = 'insert' | 'replace'

/**
 * A network with ULSAM modules at some blocks, sharing all parameters of the blocks that stay.
 * @param positions places in `network.blocks`, of the original network
 * @param groups of each module
 * @throws when a position is none of the network, the groups do not divide the width, or a block to be replaced changes
 *   stride or width
 */
export function withUlsam(
  network: MobileNet,
  positions: readonly number[],
  groups: number,
  mode: UlsamMode,
  options: SubspaceOptions = {},
): MobileNet {
  const { blocks } = network
  const wrong = positions.find(position => !(position in blocks))
  if (wrong !== undefined)
    throw new Error(`ulsam: there is no block ${wrong}; the network has blocks 0 to ${blocks.length - 1}`)
  const changed = blocks.flatMap((block, i): MapBlock[] => {
    if (!positions.includes(i)) return [block]
    if (mode === 'replace') checkReplaceable(block, i)
    const module = new ULSAM(block.outChannels, groups, options)
    return mode === 'replace' ? [module] : [block, module]
  })
  return network.withBlocks(changed)
}

const isReplaceable = ({ inChannels, outChannels, stride }: MapBlock): boolean =>
  stride === 1 && inChannels === outChannels

function checkReplaceable(block: MapBlock, position: number): void {
  const { inChannels, outChannels, stride } = block
  if (!isReplaceable(block))
    throw new Error(
      `ulsam: block ${position} turns ${inChannels} channels into ${outChannels} at stride ${stride}; only a block that keeps width and size can be replaced`,
    )
}

/** What a network costs for one picture. */
export interface Cost {
  readonly parameters: number
  /** Of convolutions and matrix products. */
  readonly multiplyAdds: number
}

/** @param size of a picture, [channels, height, width] */
export function costOf(network: Module & { forward(x: Tensor): Tensor }, size: readonly number[]): Cost {
  return {
    parameters: parameterCount(network),
    multiplyAdds: multiplyAdds([network.forward(placeholder('images', [1, ...size]))]),
  }
}

/** A block that ULSAM can stand in for, and what that saves. */
export interface Candidate {
  readonly position: number
  readonly channels: number
  /** Height and width of the maps there. */
  readonly size: readonly [number, number]
  readonly saves: Cost
}

/**
 * Blocks that keep width and size, with what replacing each by a module of so many groups would save.
 * @param size of a picture, [channels, height, width]
 */
export function candidates(network: MobileNet, size: readonly number[], groups: number): Candidate[] {
  const found: Candidate[] = []
  let maps = placeholder('images', [1, ...size])
  network.blocks.forEach((block, position) => {
    const given = placeholder('maps', maps.shape)
    const [, channels, height, width] = given.shape
    if (isReplaceable(block) && channels % groups === 0 && !(block instanceof ULSAM)) {
      const [before, after] = [block, new ULSAM(channels, groups, { warn: () => undefined })].map(
        (part): Cost => ({ parameters: parameterCount(part), multiplyAdds: multiplyAdds([part.forward(given)]) }),
      )
      found.push({
        position,
        channels,
        size: [height, width],
        saves: {
          parameters: before.parameters - after.parameters,
          multiplyAdds: before.multiplyAdds - after.multiplyAdds,
        },
      })
    }
    maps = block.forward(given)
  })
  return found
}

/** A compact network before and after some of its blocks gave way to ULSAM. */
export interface Upgrade {
  /** Shares all parameters of the blocks that stay; the new modules want a few epochs of fine-tuning. */
  readonly network: MobileNet
  readonly positions: readonly number[]
  readonly before: Cost
  readonly after: Cost
}

/**
 * Replaces the blocks that save most until a network costs no more than wished, the deepest of equals first.
 * @param size of a picture, [channels, height, width]
 * @param options.share of the multiply-adds that may remain, 0 to 1
 * @param options.groups of each module; default 4
 * @throws when all blocks that keep width and size together do not save that much
 */
export function upgradeNetwork(
  network: MobileNet,
  size: readonly number[],
  { share, groups = 4 }: { readonly share: number; readonly groups?: number },
): Upgrade {
  const before = costOf(network, size)
  const found = candidates(network, size, groups).sort(
    (a, b) => b.saves.multiplyAdds - a.saves.multiplyAdds || b.position - a.position,
  )
  const positions: number[] = []
  let left = before.multiplyAdds
  for (const { position, saves } of found) {
    if (left <= share * before.multiplyAdds) break
    positions.push(position)
    left -= saves.multiplyAdds
  }
  if (left > share * before.multiplyAdds)
    throw new Error(
      `ulsam: replacing all ${found.length} blocks that keep width and size leaves ${(left / before.multiplyAdds).toFixed(2)} of the multiply-adds, more than ${share}`,
    )
  positions.sort((a, b) => a - b)
  const upgraded = withUlsam(network, positions, groups, 'replace')
  return { network: upgraded, positions, before, after: costOf(upgraded, size) }
}

/** The attention maps [batch, groups, height, width] of every ULSAM module for some pictures, by position. */
export function attentionMaps(network: MobileNet, images: Tensor): Map<number, Tensor> {
  const found = new Map<number, Tensor>()
  network.blocks.reduce((maps, block, i) => {
    if (block instanceof ULSAM) found.set(i, block.attend(maps))
    return block.forward(maps)
  }, images)
  return found
}
