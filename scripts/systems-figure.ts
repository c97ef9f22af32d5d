import sharp from 'sharp'
import { compile, grad, hostTensor, type Tensor } from '../src/core/index.ts'
import { openScenes } from '../src/data/index.ts'
import { withSeed } from '../src/nn/index.ts'
import type { System } from '../src/systems/index.ts'
import { isDense, type SegmentationNetwork } from '../src/tasks/index.ts'

const side = 64
const scenes = 4
const draws = 3

/** What a network says of the centre of a picture; of all of it, where it has one output only. */
function centre(network: SegmentationNetwork, isSegmenter: boolean, images: Tensor): Tensor {
  const at = (map: Tensor): Tensor => {
    const [row, column] = [map.shape[2] >> 1, map.shape[3] >> 1]
    return map.slice(2, row, row + 1).slice(3, column, column + 1)
  }
  if (isSegmenter) return at(network.forward(images))
  return isDense(network) ? at(network.featureMaps(images).at(-1)!) : network.forward(images)
}

/**
 * Draws what a system's network looks at before it is trained: beside a scene, the size of the gradient at each pixel.
 * @returns a PNG; undefined for a system without a network of pictures
 */
export async function systemFigure({ model, segmenters }: System): Promise<Buffer | undefined> {
  const kind = model ?? Object.values(segmenters ?? {})[0]
  if (!kind) return undefined
  const { train } = await openScenes({ size: side, seed: 5 })
  const { images, scenes: shown } = train.batch(0, scenes)
  const format = { channels: 3, size: [side, side] as const, classes: 10 }
  const seen = new Float64Array(side * side)
  for (let seed = 0; seed < draws; seed++) {
    const network = withSeed(seed, () => kind.build(format, kind.defaults(format)))
    const slope = compile((pictures: Tensor) => {
      const output = centre(network, !model, pictures)
      // Squares, so that what cancels in a sum (a norm's outputs) still counts.
      return grad(output.mul(output).sum(), [pictures])[0]
    })
    const values = (await slope(hostTensor(images, [scenes, 3, side, side]))).numbers()
    for (let i = 0; i < values.length; i++) seen[i % (side * side)] += Math.abs(values[i])
    await slope.release()
  }
  // By rank, as sizes span many powers of ten; pixels that nothing depends on stay black.
  const order = [...seen.keys()].filter(i => seen[i] > 0).sort((a, b) => seen[a] - seen[b])
  const heat = new Uint8Array(side * side * 3)
  for (const [rank, at] of order.entries()) {
    const share = (rank + 1) / order.length
    heat.set([255 * share ** 2, 200 * share ** 6, 255 * Math.max(0, share ** 2 * (1 - share) * 2)], 3 * at)
  }
  const scene = Uint8Array.from(
    { length: side * side * 3 },
    (_, i) => shown[0].pixels[(i % 3) * side * side + Math.floor(i / 3)],
  )
  const panel = (pixels: Uint8Array): Promise<Buffer> =>
    sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
      .resize(256, 256, { kernel: 'nearest' })
      .png()
      .toBuffer()
  return sharp({ create: { width: 528, height: 256, channels: 3, background: '#fff' } })
    .composite([
      { input: await panel(scene), left: 0, top: 0 },
      { input: await panel(heat), left: 272, top: 0 },
    ])
    .png({ palette: true })
    .toBuffer()
}
