import sharp from 'sharp'
import type { RetrievalEncoder } from '../encoder.ts'
import { averagedPixels } from './image-baselines.ts'
import type { Picture, Ranker } from './ranker.ts'

/** Vectors of everything that can be found, by one encoder. */
export interface GalleryVectors {
  readonly ids: readonly string[]
  /** Of the pictures, row-major [ids, dim], of unit length. */
  readonly images: Float32Array
  /** Of the names, row-major [ids, dim], of unit length. */
  readonly names: Float32Array
}

/** A picture of another size: a smaller one averages the pixels that fall into each of its own, a larger one interpolates. */
export async function resizedPicture({ pixels, size }: Picture, side: number): Promise<Uint8Array> {
  if (side > size)
    return sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
      .resize(side, side, { kernel: 'cubic' })
      .raw()
      .toBuffer()
  const out = new Uint8Array(3 * side * side)
  for (let c = 0; c < 3; c++) {
    const channel = averagedPixels(size, side, at => pixels[at + c])
    for (let i = 0; i < channel.length; i++) out[3 * i + c] = channel[i]
  }
  return out
}

/** The k largest scores, largest first, equal ones by ascending index. */
function best(scores: Float32Array, k: number): number[] {
  const found: number[] = []
  let least = Number.NEGATIVE_INFINITY
  for (let i = 0; i < scores.length; i++) {
    if (found.length === k && scores[i] <= least) continue
    let place = found.length
    while (place > 0 && scores[found[place - 1]] < scores[i]) place--
    found.splice(place, 0, i)
    if (found.length > k) found.pop()
    least = scores[found[found.length - 1]]
  }
  return found
}

/**
 * Everything in order of an encoder's vectors, without an index or keywords: score = weights.names · cos(query, name) +
 * weights.images · cos(query, picture).
 *
 * @param weights how much names and pictures count; { names: 0, images: 1 } looks at pictures alone
 */
export function encoderRanker(
  name: string,
  encoder: RetrievalEncoder,
  { ids, images, names }: GalleryVectors,
  weights: { readonly names: number; readonly images: number },
): Ranker {
  const { dim, imageSize } = encoder
  const encode = async ({ text, image }: { text?: string; image?: Picture }) =>
    image ? encoder.encodeImages(await resizedPicture(image, imageSize), 1) : encoder.encodeTexts([text ?? ''])
  return {
    name,
    answers: () => true,
    async rank(query, k) {
      const vector = await encode(query)
      const scores = new Float32Array(ids.length)
      for (let row = 0; row < ids.length; row++) {
        let byName = 0
        let byImage = 0
        for (let i = 0, at = row * dim; i < dim; i++, at++) {
          byName += vector[i] * names[at]
          byImage += vector[i] * images[at]
        }
        scores[row] = weights.names * byName + weights.images * byImage
      }
      return best(scores, k).map(row => ids[row])
    },
  }
}
