import { readFile } from 'node:fs/promises'
import pMap from 'p-map'
import { type DecodeOptions, decodeImage, ImageError, type ImageLimits } from './decode.ts'
import { looksLikeSvg, SvgRasterizer } from './svg/index.ts'

/** Where a picture comes from: an SVG document, a file, or a file's bytes. */
export type PictureSource = { svg: string } | { path: string } | { bytes: Uint8Array }

/** How something wants its pictures: as squares of a size. */
export interface SquarePictures {
  readonly imageSize: number
  /** Default `contain`. */
  readonly imageFit?: DecodeOptions['fit']
  /** Default `cubic`. */
  readonly imageKernel?: DecodeOptions['kernel']
}

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

  /** @param wanted how large pictures are, and how those that are not square become so */
  constructor(wanted: SquarePictures, rasterizer?: SvgRasterizer) {
    this.#size = wanted.imageSize
    this.#decoding = { fit: wanted.imageFit ?? 'contain', kernel: wanted.imageKernel ?? 'cubic' }
    this.#given = rasterizer
  }

  /**
   * Draws or decodes pictures to squares over white.
   *
   * @param fit default: as it was wanted
   */
  async draw(
    images: readonly (PictureSource | undefined)[],
    size = this.#size,
    fit = this.#decoding.fit,
  ): Promise<Pixels> {
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

async function svgOf(image: PictureSource): Promise<string | undefined> {
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
