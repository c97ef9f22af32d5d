import type { Sharp } from 'sharp'
import { ImageError, readImageHeader } from '../data/decode.ts'
import { looksLikeSvg } from '../data/svg/index.ts'
import type { ServerLimits } from './limits.ts'
import { Refusal } from './refusal.ts'

/** Draws SVGs on white: RGB bytes of [count, size, size, 3]. The engine's `SvgRasterizer` is one. */
export interface Rasterizer {
  rasterise(
    svgs: readonly string[],
    size: number,
  ): Promise<{ pixels: Uint8Array; failed: readonly { index: number; reason: string }[] }>
}

/** Side that a query's picture is brought to before it goes on; no less than encoders look at. */
export const querySide = 512

/** Bytes of base64, with or without a `data:` prefix. */
export function decodeBase64(text: string): Uint8Array {
  const body = text.replace(/^data:[\w.+/-]*(?:;[\w.=-]+)*;base64,/, '')
  if (body === '' || !/^[A-Za-z0-9+/_-]+={0,2}\s*$/.test(body))
    throw new Refusal(400, 'image: expected the bytes of a picture file in base64.')
  return Buffer.from(body, 'base64')
}

/**
 * Checks a picture that a client sent and makes it a plain PNG of at most `querySide` pixels a side, over white:
 * whatever the file was, what goes on is small and harmless.
 *
 * @throws Refusal 413 when it is too large, 415 when it is no picture, 422 when it is damaged, hostile or too slow to unpack
 */
export async function readQueryImage(
  bytes: Uint8Array,
  limits: ServerLimits,
  rasterizer: Rasterizer | undefined,
): Promise<Uint8Array> {
  if (bytes.length > limits.imageBytes)
    throw new Refusal(413, `image: ${bytes.length} bytes; the limit is ${limits.imageBytes} bytes.`)
  if (looksLikeSvg(bytes)) return drawSvg(new TextDecoder().decode(bytes), rasterizer)
  await checkHeader(bytes, limits)
  const { default: sharp } = await import('sharp')
  return pngOf(
    sharp(bytes, { failOn: 'error', limitInputPixels: limits.imagePixels, sequentialRead: true })
      .timeout({ seconds: Math.max(1, Math.round(limits.decodeMilliseconds / 1000)) })
      .autoOrient(),
  )
}

async function checkHeader(bytes: Uint8Array, limits: ServerLimits): Promise<void> {
  try {
    await readImageHeader(bytes, { maxBytes: limits.imageBytes, maxPixels: limits.imagePixels })
  } catch (cause) {
    if (!(cause instanceof ImageError)) throw cause
    const tooLarge = /limit is/.test(cause.reason)
    const noPicture = /is not a readable image|not one of|is empty/.test(cause.reason)
    throw new Refusal(tooLarge ? 413 : noPicture ? 415 : 422, `image: ${cause.reason}.`, { cause })
  }
}

async function drawSvg(svg: string, rasterizer: Rasterizer | undefined): Promise<Uint8Array> {
  if (!rasterizer) throw new Refusal(415, 'image: this server does not take SVG; send a PNG, JPEG or WebP.')
  const { pixels, failed } = await rasterizer.rasterise([svg], querySide)
  if (failed.length > 0) throw new Refusal(422, `image: this SVG is refused: ${failed[0].reason}.`)
  const { default: sharp } = await import('sharp')
  return pngOf(sharp(pixels, { raw: { width: querySide, height: querySide, channels: 3 } }))
}

/** The picture within the square, over white, as PNG. */
async function pngOf(image: Sharp): Promise<Uint8Array> {
  try {
    return await image
      .resize({ width: querySide, height: querySide, fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#fff' })
      .toColourspace('srgb')
      .png({ compressionLevel: 1 })
      .toBuffer()
  } catch (cause) {
    const reason = (cause as Error).message.trim().split('\n').at(-1)
    throw new Refusal(422, `image: cannot be decoded, it is damaged, cut off or too slow to unpack (${reason}).`, {
      cause,
    })
  }
}
