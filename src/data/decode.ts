import { readFile, stat } from 'node:fs/promises'
import type { Sharp } from 'sharp'
import { channelTransform, type Normalisation } from './normalise.ts'

/** Image formats that are read, told by content and not by the file's name. SVG is not: it is a program, not a picture. */
export const imageFormats = ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const

/** File name endings of `imageFormats`, lower case. */
export const imageExtensions: ReadonlySet<string> = new Set(
  '.jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .avif'.split(' '),
)

export interface ImageLimits {
  /** Largest file, in bytes. Default 64 MiB. */
  maxBytes?: number
  /** Largest picture before resizing, in pixels. Default 100 million. */
  maxPixels?: number
}

export interface DecodeOptions extends ImageLimits {
  /** Output height and width in pixels; by default the picture's own. */
  size?: readonly [height: number, width: number]
  /** 1 (grey, ITU-R BT.709 luminance) or 3 (sRGB). Default 3. */
  channels?: 1 | 3
  /**
   * How a picture of another aspect ratio meets `size`: `cover` fills it and cuts off the edges evenly, `contain` shows all
   * and pads with `background`, `fill` stretches. Default `cover`.
   */
  fit?: 'cover' | 'contain' | 'fill'
  /** Interpolation; all but `nearest` average over the area when they shrink. Default `cubic`. */
  kernel?: 'nearest' | 'linear' | 'cubic' | 'lanczos3'
  /** Grey level or [red, green, blue] behind transparent pixels and around `contain`, 0 .. 255. Default 255 (white). */
  background?: number | readonly [red: number, green: number, blue: number]
}

/** A picture as bytes 0 .. 255 in [channels, height, width] order. */
export interface DecodedImage {
  values: Uint8Array
  shape: readonly [channels: number, height: number, width: number]
}

/** An image that cannot be used; `file` names it and `reason` says why, without the name. */
export class ImageError extends Error {
  override readonly name = 'ImageError'
  readonly file: string
  readonly reason: string

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`${file}: ${reason}`, options)
    this.file = file
    this.reason = reason
  }
}

const defaultLimits: Required<ImageLimits> = { maxBytes: 64 * 2 ** 20, maxPixels: 100e6 }

/** Loaded at the first image: its native library costs start-up time that work on arrays need not pay. */
let sharpModule: Promise<typeof import('sharp').default> | undefined
function loadSharp() {
  sharpModule ??= import('sharp').then(
    ({ default: sharp }) => {
      // A data set is read once or in shuffled order, so libvips' cache of operations would only hold memory.
      sharp.cache(false)
      return sharp
    },
    cause => {
      throw new Error(`reading images needs the package sharp, which failed to load: ${cause.message}`, { cause })
    },
  )
  return sharpModule
}

/** An error of the file system as an ImageError. */
function fileFailure(file: string, cause: unknown): ImageError {
  const { code, message } = cause as NodeJS.ErrnoException
  return new ImageError(file, code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? message})`, { cause })
}

/**
 * What can be said of an image file without reading it.
 *
 * @throws ImageError when it is missing, not a regular file, empty or too large
 */
export async function checkImageFile(path: string, limits: ImageLimits = {}, file = path): Promise<void> {
  const { maxBytes = defaultLimits.maxBytes } = limits
  const info = await stat(path).catch(cause => {
    throw fileFailure(file, cause)
  })
  if (!info.isFile()) throw new ImageError(file, 'is not a regular file')
  checkByteCount(info.size, maxBytes, file)
}

function checkByteCount(bytes: number, maxBytes: number, file: string): void {
  if (bytes === 0) throw new ImageError(file, 'is empty (0 bytes)')
  if (bytes > maxBytes) throw new ImageError(file, `is ${bytes} bytes; the limit is ${maxBytes}`)
}

async function readImageFile(path: string, file: string, limits: ImageLimits): Promise<Uint8Array> {
  await checkImageFile(path, limits, file)
  return readFile(path).catch(cause => {
    throw fileFailure(file, cause)
  })
}

/** libvips reports over several lines, the last of which is the failure itself. */
function decodeFailure(cause: unknown): string {
  const lines = (cause as Error).message.split('\n').filter(line => line.trim() !== '')
  const last = lines.at(-1) ?? 'unknown'
  return /unsupported image format/i.test(last)
    ? `is not a readable image (expected ${imageFormats.join(', ')})`
    : `cannot be decoded, it is damaged or cut off (${last.trim()})`
}

export interface ImageHeader {
  format: string
  width: number
  height: number
}

interface OpenedImage {
  header: ImageHeader
  hasAlpha: boolean
  pipeline: () => Sharp
}

/** Reads the bytes and the header, so that an unwanted file is refused before its pixels are unpacked. */
async function openImage(input: string | Uint8Array, file: string, limits: ImageLimits): Promise<OpenedImage> {
  const maxBytes = limits.maxBytes ?? defaultLimits.maxBytes
  const maxPixels = limits.maxPixels ?? defaultLimits.maxPixels
  const bytes = typeof input === 'string' ? await readImageFile(input, file, limits) : input
  checkByteCount(bytes.length, maxBytes, file)
  const sharp = await loadSharp()
  // The pixel limit is checked below, where the message can say how large the picture is.
  const pipeline = () => sharp(bytes, { failOn: 'warning', limitInputPixels: false, sequentialRead: true })
  const metadata = await pipeline()
    .metadata()
    .catch(cause => {
      throw new ImageError(file, decodeFailure(cause), { cause })
    })
  // sharp calls AVIF by the name of its container.
  const format = metadata.format === 'heif' && metadata.compression === 'av1' ? 'avif' : metadata.format
  if (!(imageFormats as readonly string[]).includes(format)) {
    throw new ImageError(file, `is ${format}, not one of ${imageFormats.join(', ')}`)
  }
  const { width, height } = metadata.autoOrient
  if (width * height > maxPixels) {
    throw new ImageError(file, `is ${width} x ${height} pixels; the limit is ${maxPixels} pixels`)
  }
  return { header: { format, width, height }, hasAlpha: metadata.hasAlpha, pipeline }
}

/**
 * Reads an image's header only: what it is and how large, seen upright. Damage in the pixels goes unnoticed.
 *
 * @param input path or the file's bytes
 * @param file what to call it in an error; by default the path
 * @throws ImageError as `decodeImage`
 */
export async function readImageHeader(
  input: string | Uint8Array,
  limits: ImageLimits = {},
  file = typeof input === 'string' ? input : 'image',
): Promise<ImageHeader> {
  return (await openImage(input, file, limits)).header
}

function interleavedToPlanar(pixels: Uint8Array, channels: number): Uint8Array {
  if (channels === 1) return new Uint8Array(pixels)
  const area = pixels.length / channels
  const planar = new Uint8Array(pixels.length)
  for (let channel = 0; channel < channels; channel++) {
    const plane = channel * area
    for (let pixel = 0, from = channel; pixel < area; pixel++, from += channels) planar[plane + pixel] = pixels[from]
  }
  return planar
}

/**
 * Decodes one image: turned upright by its EXIF orientation, transparent parts on the background, in sRGB or grey, resized.
 * An animation gives its first frame.
 *
 * @param input path or the file's bytes
 * @param options output size, channels, fit and limits
 * @param file what to call it in an error; by default the path
 * @returns bytes of shape [channels, height, width]
 * @throws ImageError in one line when the file is missing, empty, too large, of another type, damaged or cut off
 */
export async function decodeImage(
  input: string | Uint8Array,
  options: DecodeOptions = {},
  file = typeof input === 'string' ? input : 'image',
): Promise<DecodedImage> {
  const { size, channels = 3, fit = 'cover', kernel = 'cubic', background = 255 } = options
  const opened = await openImage(input, file, options)
  const [r, g, b] = typeof background === 'number' ? [background, background, background] : background
  let image = opened.pipeline().autoOrient()
  if (opened.hasAlpha) image = image.flatten({ background: { r, g, b } })
  if (size) {
    image = image.resize({ height: size[0], width: size[1], fit, kernel, background: { r, g, b } })
  }
  image = image.toColourspace(channels === 1 ? 'b-w' : 'srgb')
  const { data, info } = await image
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch(cause => {
      throw new ImageError(file, decodeFailure(cause), { cause })
    })
  if (info.channels !== channels) {
    throw new ImageError(file, `decodes to ${info.channels} channels where ${channels} were asked for`)
  }
  return { values: interleavedToPlanar(data, channels), shape: [channels, info.height, info.width] }
}

/**
 * Bytes to floats: x / 255, then (x - mean) / std per channel when a normalisation is given.
 *
 * @returns floats in the image's [channels, height, width] order
 */
export function imageToFloat32(image: DecodedImage, normalisation?: Normalisation): Float32Array {
  const [channels, height, width] = image.shape
  const area = height * width
  const out = new Float32Array(image.values.length)
  for (let channel = 0; channel < channels; channel++) {
    const { scale, offset } = channelTransform(normalisation, channel)
    const end = (channel + 1) * area
    for (let at = channel * area; at < end; at++) out[at] = image.values[at] * scale + offset
  }
  return out
}
