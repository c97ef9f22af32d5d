import type { Pictures } from '../data/pictures.ts'
import { CollectionError } from './collection-error.ts'

/** Side at which a drawing's ink is looked for. */
const sketchSide = 256
/** White around the ink, as a share of its longer side: what icons leave around theirs. */
const sketchMargin = 0.08

/**
 * A query's picture as the encoder takes it.
 *
 * @param sketch crop to the ink, centred with a margin, so that where on the paper one draws does not matter
 * @throws CollectionError when the bytes are no readable picture
 */
export async function queryPixels(
  pictures: Pictures,
  bytes: Uint8Array,
  size: number,
  sketch: boolean,
): Promise<Uint8Array> {
  // A drawing is kept whole: it is cropped to its ink afterwards.
  const { pixels, failed } = sketch
    ? await pictures.draw([{ bytes }], sketchSide, 'contain')
    : await pictures.draw([{ bytes }])
  const reason = failed.get(0)
  if (reason !== undefined) throw new CollectionError(`image: ${reason}.`)
  return sketch ? centredInk(pixels, sketchSide, size) : pixels
}

async function centredInk(pixels: Uint8Array, side: number, size: number): Promise<Uint8Array> {
  let [left, top, right, bottom] = [side, side, -1, -1]
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const at = (y * side + x) * 3
      if (Math.min(pixels[at], pixels[at + 1], pixels[at + 2]) > 200) continue
      left = Math.min(left, x)
      right = Math.max(right, x)
      top = Math.min(top, y)
      bottom = Math.max(bottom, y)
    }
  }
  const { default: sharp } = await import('sharp')
  let image = sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
  if (right >= 0) {
    const [width, height] = [right - left + 1, bottom - top + 1]
    const longer = Math.max(width, height)
    const margin = Math.max(1, Math.round(longer * sketchMargin))
    const [x, y] = [longer - width, longer - height].map(room => Math.floor(room / 2) + margin)
    image = image.extract({ left, top, width, height }).extend({
      left: x,
      right: longer + 2 * margin - width - x,
      top: y,
      bottom: longer + 2 * margin - height - y,
      background: '#fff',
    })
    // sharp resizes before it extends, so the square is made first.
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true })
    image = sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } })
  }
  return image.resize(size, size, { fit: 'fill' }).raw().toBuffer()
}
