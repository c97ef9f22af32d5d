import type { IconItem } from '../../../data/icons/index.ts'
import type { SvgRasterizer } from '../../../data/svg/index.ts'
import type { RetrievalEncoder } from '../encoder.ts'
import type { GalleryVectors } from './encoder-ranker.ts'
import { baselineSize, greyThumbnail } from './image-baselines.ts'
import type { Drawer } from './query-sets.ts'

/** Everything that can be found, as the rankers without a collection see it. */
export interface Gallery {
  readonly items: readonly IconItem[]
  /** Grey pictures for the baselines, [items, baselineSize, baselineSize]. */
  readonly thumbnails: Uint8Array
  /** Undefined without an encoder. */
  readonly vectors: GalleryVectors | undefined
  /** Items that could not be drawn. They stay in the gallery, as white pictures. */
  readonly failed: readonly { readonly id: string; readonly reason: string }[]
}

/** Bytes of pixels drawn at a time, at most. */
const batchPixels = 64 * 2 ** 20

/**
 * Draws icons, and encodes their pictures and their names (names alone: aliases and keywords are what is asked for).
 *
 * @param encoder left out, only the baselines' pictures are made
 */
export async function readGallery(
  items: readonly IconItem[],
  rasterizer: SvgRasterizer,
  encoder?: RetrievalEncoder,
  onProgress?: (done: number, total: number) => void,
): Promise<Gallery> {
  const size = Math.max(baselineSize, encoder?.imageSize ?? 0)
  const area = baselineSize ** 2
  const batchSize = Math.max(16, Math.min(2048, Math.floor(batchPixels / (size ** 2 * 3))))
  const thumbnails = new Uint8Array(items.length * area)
  const dim = encoder?.dim ?? 0
  const images = new Float32Array(items.length * dim)
  const names = new Float32Array(items.length * dim)
  const failed: { id: string; reason: string }[] = []
  for (let first = 0; first < items.length; first += batchSize) {
    const part = items.slice(first, first + batchSize)
    const svgs = part.map(({ svg }) => svg)
    const drawn = await rasterizer.rasterise(svgs, size)
    failed.push(...drawn.failed.map(({ index, reason }) => ({ id: part[index].id, reason })))
    const stride = 3 * size * size
    for (let i = 0; i < part.length; i++) {
      const pixels = drawn.pixels.subarray(i * stride, (i + 1) * stride)
      thumbnails.set(greyThumbnail({ pixels, size }), (first + i) * area)
    }
    if (encoder) {
      const fits = encoder.imageSize === size
      const pixels = fits ? drawn.pixels : (await rasterizer.rasterise(svgs, encoder.imageSize)).pixels
      images.set(await encoder.encodeImages(pixels, part.length), first * dim)
      names.set(await encoder.encodeTexts(part.map(({ words }) => words)), first * dim)
    }
    onProgress?.(Math.min(items.length, first + batchSize), items.length)
  }
  const ids = items.map(({ id }) => id)
  return { items, thumbnails, vectors: encoder ? { ids, images, names } : undefined, failed }
}

/** Draws icons for queries. */
export function iconDrawer(rasterizer: SvgRasterizer): Drawer {
  return async (items, size) => {
    const { pixels, failed } = await rasterizer.rasterise(
      items.map(({ svg }) => svg),
      size,
    )
    const broken = new Set(failed.map(({ index }) => index))
    const stride = 3 * size * size
    return items.map((_, i) =>
      broken.has(i) ? undefined : { pixels: pixels.slice(i * stride, (i + 1) * stride), size },
    )
  }
}
