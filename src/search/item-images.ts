import { readFile } from 'node:fs/promises'
import pMap from 'p-map'
import { type DecodeOptions, decodeImage, ImageError, type ImageLimits } from '../data/decode.ts'
import { looksLikeSvg, SvgRasterizer } from '../data/svg/index.ts'
import type { RetrievalEncoder } from '../tasks/retrieve/encoder.ts'
import { CollectionError } from './collection-error.ts'
import type { ItemImage } from './source-item.ts'

/** Pictures of strangers: smaller limits than those of a training set. */
const limits: ImageLimits = { maxBytes: 32 * 2 ** 20, maxPixels: 50e6 }

/** RGB rows of [size, size, 3]; a failed picture's row is white. */
export interface Pixels {
  readonly pixels: Uint8Array
  readonly failed: ReadonlyMap<number, string>
}

/** Starts an SVG rasterizer when the first SVG comes, or uses the one it was given. */
export class Pictures {
  readonly #size: number
  readonly #decoding: Required<Pick<DecodeOptions, 'fit' | 'kernel'>>
  readonly #given: SvgRasterizer | undefined
  #own: Promise<SvgRasterizer> | undefined

  /** @param encoder decides how large pictures are, and how those that are not square become so */
  constructor(encoder: RetrievalEncoder, rasterizer?: SvgRasterizer) {
    this.#size = encoder.imageSize
    this.#decoding = { fit: encoder.imageFit ?? 'contain', kernel: encoder.imageKernel ?? 'cubic' }
    this.#given = rasterizer
  }

  /**
   * Draws or decodes pictures to squares over white.
   *
   * @param fit default: as the encoder wants them
   */
  async draw(images: readonly (ItemImage | undefined)[], size = this.#size, fit = this.#decoding.fit): Promise<Pixels> {
    const decoding = { ...this.#decoding, fit }
    const pixels = new Uint8Array(images.length * size * size * 3).fill(255)
    const failed = new Map<number, string>()
    const svgs: { index: number; svg: string }[] = []
    await pMap(
      images.entries(),
      async ([index, image]) => {
        if (!image) return
        try {
          const svg = await svgOf(image)
          if (svg !== undefined) svgs.push({ index, svg })
          else if (!('svg' in image)) pixels.set(await decode(image, size, decoding), index * size * size * 3)
        } catch (error) {
          failed.set(index, reasonOf(error))
        }
      },
      { concurrency: 8 },
    )
    if (svgs.length) await this.#drawSvgs(svgs, size, pixels, failed)
    return { pixels, failed }
  }

  async #drawSvgs(
    svgs: readonly { index: number; svg: string }[],
    size: number,
    pixels: Uint8Array,
    failed: Map<number, string>,
  ): Promise<void> {
    const bytes = size * size * 3
    const rasterizer = this.#given ?? (await this.#start())
    const drawn = await rasterizer.rasterise(
      svgs.map(({ svg }) => svg),
      size,
    )
    for (const [at, { index }] of svgs.entries()) {
      pixels.set(drawn.pixels.subarray(at * bytes, (at + 1) * bytes), index * bytes)
    }
    for (const { index, reason } of drawn.failed) failed.set(svgs[index].index, reason)
  }

  #start(): Promise<SvgRasterizer> {
    this.#own ??= SvgRasterizer.create()
    return this.#own
  }

  /** Ends the rasterizer that it started itself. */
  async close(): Promise<void> {
    const own = this.#own
    this.#own = undefined
    await (await own)?.close()
  }
}

async function svgOf(image: ItemImage): Promise<string | undefined> {
  if ('svg' in image) return image.svg
  if ('bytes' in image) return looksLikeSvg(image.bytes) ? new TextDecoder().decode(image.bytes) : undefined
  return /\.svg$/i.test(image.path) ? await readFile(image.path, 'utf8') : undefined
}

async function decode(
  image: { path: string } | { bytes: Uint8Array },
  size: number,
  decoding: Pick<DecodeOptions, 'fit' | 'kernel'>,
): Promise<Uint8Array> {
  const options = { ...limits, ...decoding, size: [size, size] as const }
  const { values } = await decodeImage(
    'path' in image ? image.path : image.bytes,
    options,
    'path' in image ? image.path : 'image',
  )
  return interleaved(values)
}

function interleaved(planar: Uint8Array): Uint8Array {
  const area = planar.length / 3
  const out = new Uint8Array(planar.length)
  for (let pixel = 0, at = 0; pixel < area; pixel++) {
    out[at++] = planar[pixel]
    out[at++] = planar[area + pixel]
    out[at++] = planar[2 * area + pixel]
  }
  return out
}

function reasonOf(error: unknown): string {
  if (error instanceof ImageError) return error.reason
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'ENOENT' ? 'does not exist' : message.split('\n')[0]
}

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
