import { ImageError, readImageHeader } from '../data/decode.ts'
import type { ServerLimits } from './limits.ts'
import { Refusal } from './refusal.ts'
import { sanitiseSvg } from './sanitise-svg.ts'
import type { SourceItem } from './searchable.ts'

export interface ItemPicture {
  readonly type: 'image/svg+xml' | 'image/png'
  readonly body: string | Uint8Array
}

/**
 * The picture of an item as it may be sent to a browser: an SVG cleaned by allow-list, anything else as a PNG made
 * from its pixels, at most `size` pixels a side.
 *
 * @throws Refusal 404 when the item has none, 422 when it cannot be read
 */
export async function itemPicture(item: SourceItem, size: number, limits: ServerLimits): Promise<ItemPicture> {
  const { image } = item
  if (!image) throw new Refusal(404, `item ${JSON.stringify(item.id.slice(0, 80))} has no picture.`)
  if ('svg' in image) {
    const body = sanitiseSvg(image.svg)
    if (body === undefined)
      throw new Refusal(422, `the picture of ${JSON.stringify(item.id.slice(0, 80))} is not an SVG.`)
    return { type: 'image/svg+xml', body }
  }
  const source = 'path' in image ? image.path : image.bytes
  try {
    await readImageHeader(source, { maxPixels: limits.imagePixels })
    const { default: sharp } = await import('sharp')
    const body = await sharp(source, { limitInputPixels: limits.imagePixels, sequentialRead: true })
      .timeout({ seconds: Math.max(1, Math.round(limits.decodeMilliseconds / 1000)) })
      .autoOrient()
      .resize({ width: size, height: size, fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .png({ compressionLevel: 3 })
      .toBuffer()
    return { type: 'image/png', body }
  } catch (cause) {
    // Where the file lies is the server's business: the reason goes out without the path.
    const reason = cause instanceof ImageError ? cause.reason : 'cannot be decoded'
    throw new Refusal(422, `the picture of ${JSON.stringify(item.id.slice(0, 80))} ${reason}.`, { cause })
  }
}
