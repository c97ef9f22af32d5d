import { evaluate, type HostTensor, tensor } from '../../../core/index.ts'
import { tap } from '../../../nn/index.ts'
import type { Routing } from '../../../nn/routing-attention.ts'
import type { BiFormer } from './biformer.ts'

/** A region of a picture that a position looks at, in pixels; right and bottom are exclusive. */
export interface RoutedRegion {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
  /** How well its mean key fits the mean query of the position's region. */
  readonly affinity: number
}

/**
 * Which regions of a picture a position looks at in one block, best first.
 * @param model a trained BiFormer
 * @param picture [1, channels, height, width], prepared as for the model
 * @param position in pixels from the left and the top
 * @param where stage 1 to 4 (default 3) and block from 0 (default 0); the block must route
 * @throws when the position lies outside, or the block does not route
 */
export async function routedRegions(
  model: BiFormer,
  picture: HostTensor,
  position: { readonly x: number; readonly y: number },
  { stage = 3, block = 0 }: { readonly stage?: number; readonly block?: number } = {},
): Promise<RoutedRegion[]> {
  const [, , height, width] = picture.shape
  if (!(position.x >= 0 && position.x < width && position.y >= 0 && position.y < height))
    throw new Error(
      `routedRegions: (${position.x}, ${position.y}) lies outside the picture of ${width}x${height} pixels`,
    )
  const path = `stages.${stage - 1}.${block}.attn.router`
  const { activations } = tap(model, [path], () => model.pyramid(tensor(picture.data, picture.shape)))
  const routing = activations[path] as Routing
  const [indices, affinity] = await evaluate([routing.indices, routing.affinity])
  const count = routing.affinity.shape[1]
  const across = Math.sqrt(count)
  // Pixels of a region: every halving rounds up, and the map is padded to whole regions.
  const stride = 2 ** (stage + 1)
  const side = (pixels: number): number => Math.ceil(Math.ceil(pixels / stride) / across) * stride
  const [regionHeight, regionWidth] = [side(height), side(width)]
  const own = Math.floor(position.y / regionHeight) * across + Math.floor(position.x / regionWidth)
  const k = routing.indices.shape[2]
  const [chosen, scores] = [indices.numbers(), affinity.numbers()]
  return Array.from({ length: k }, (_, i) => {
    const region = Number(chosen[own * k + i])
    const [top, left] = [Math.floor(region / across) * regionHeight, (region % across) * regionWidth]
    return {
      left: Math.min(left, width),
      top: Math.min(top, height),
      right: Math.min(left + regionWidth, width),
      bottom: Math.min(top + regionHeight, height),
      affinity: scores[own * count + region],
    }
  })
}
