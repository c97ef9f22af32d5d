import { z } from 'zod'

/** How an image model wants its pictures, from its `preprocessor_config.json`. */
export interface ImagePreprocessing {
  /** Side of the square that a picture is resized to. */
  readonly side: number
  /** Side of the square that is cut from its middle; equal to `side` where nothing is cut. */
  readonly crop: number
  /** `cover`: shorter edge to `side`; `fill`: both edges to it; `contain`: longer edge to it. */
  readonly fit: 'cover' | 'contain' | 'fill'
  readonly kernel: 'nearest' | 'linear' | 'cubic' | 'lanczos3'
  /** value = (byte · scale − mean) / std, by channel */
  readonly scale: number
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

const side = z.int().min(1).max(4096)
const square = z.union([
  side,
  z.object({ height: side, width: side }),
  z.object({ shortest_edge: side }),
  z.object({ longest_edge: side }),
])
const channels = z.union([z.array(z.number()).length(3), z.number().transform(x => [x, x, x])])

const configSchema = z.looseObject({
  size: square.optional(),
  crop_size: square.optional(),
  do_resize: z.boolean().default(true),
  do_center_crop: z.boolean().optional(),
  do_normalize: z.boolean().default(true),
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().default(1 / 255),
  image_mean: channels.optional(),
  image_std: channels.optional(),
  resample: z.int().optional(),
  interpolation: z.string().optional(),
  resize_mode: z.enum(['squash', 'shortest', 'longest']).optional(),
})

/** Pillow's numbers of its filters; of box and hamming a linear one is the nearest that there is. */
const pillowFilters = ['nearest', 'lanczos3', 'linear', 'cubic', 'linear', 'linear'] as const
const namedFilters: Readonly<Record<string, ImagePreprocessing['kernel']>> = {
  nearest: 'nearest',
  bilinear: 'linear',
  bicubic: 'cubic',
  lanczos: 'lanczos3',
}

/**
 * Reads the preprocessing of an image model, in the format of Hugging Face's image processors.
 *
 * @param file shown in errors
 * @throws one line when it is none, or asks for pictures that are not square
 */
export function readPreprocessing(config: unknown, file: string): ImagePreprocessing {
  const parsed = configSchema.safeParse(config)
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues
    throw new Error(`${file}: not the preprocessing of an image model (${path.join('.')}: ${message})`)
  }
  const values = parsed.data
  const crops = values.do_center_crop ?? values.crop_size !== undefined
  const resized = values.do_resize ? values.size : values.crop_size
  if (resized === undefined) throw new Error(`${file}: says no size of the pictures ('size')`)
  const { side, fit } = resizing(resized, crops, values.resize_mode, file)
  const crop = crops && values.crop_size !== undefined ? sideOf(values.crop_size, file) : side
  if (crop > side) throw new Error(`${file}: cuts ${crop} pixels out of pictures of ${side}`)
  const { image_mean: mean, image_std: std } = values
  if (values.do_normalize && (!mean || !std))
    throw new Error(`${file}: normalises, but says no image_mean and image_std`)
  if (std?.includes(0)) throw new Error(`${file}: image_std holds a zero`)
  return {
    side,
    crop,
    fit,
    kernel: values.interpolation
      ? (namedFilters[values.interpolation] ?? 'cubic')
      : (pillowFilters[values.resample ?? 3] ?? 'cubic'),
    scale: values.do_rescale ? values.rescale_factor : 1,
    mean: values.do_normalize ? mean! : [0, 0, 0],
    std: values.do_normalize ? std! : [1, 1, 1],
  }
}

type Square = z.infer<typeof square>

function sideOf(size: Square, file: string): number {
  if (typeof size === 'number') return size
  if ('shortest_edge' in size) return size.shortest_edge
  if ('longest_edge' in size) return size.longest_edge
  if (size.height !== size.width)
    throw new Error(`${file}: asks for pictures of ${size.width} x ${size.height}; only square ones are supported`)
  return size.height
}

function resizing(
  size: Square,
  crops: boolean,
  mode: string | undefined,
  file: string,
): Pick<ImagePreprocessing, 'side' | 'fit'> {
  const side = sideOf(size, file)
  if (mode) return { side, fit: mode === 'squash' ? 'fill' : mode === 'shortest' ? 'cover' : 'contain' }
  // A bare number means the shorter edge to those that crop afterwards, and both edges to others.
  if (typeof size === 'number') return { side, fit: crops ? 'cover' : 'fill' }
  return { side, fit: 'shortest_edge' in size ? 'cover' : 'longest_edge' in size ? 'contain' : 'fill' }
}

/**
 * Bytes as an image model takes them: cut, scaled, normalised.
 *
 * @param pixels RGB bytes [count, side, side, 3]
 * @param channelsLast order of the result: [count, crop, crop, 3] and not [count, 3, crop, crop]
 */
export function normalisePixels(
  pixels: Uint8Array,
  count: number,
  { side, crop, scale, mean, std }: ImagePreprocessing,
  channelsLast = false,
): Float32Array {
  const area = crop * crop
  const out = new Float32Array(count * 3 * area)
  const margin = Math.floor((side - crop) / 2)
  for (let c = 0; c < 3; c++) {
    const factor = scale / std[c]
    const offset = -mean[c] / std[c]
    for (let n = 0; n < count; n++) {
      for (let y = 0; y < crop; y++) {
        let from = ((n * side + y + margin) * side + margin) * 3 + c
        let to = channelsLast ? (n * area + y * crop) * 3 + c : (n * 3 + c) * area + y * crop
        for (let x = 0; x < crop; x++, from += 3, to += channelsLast ? 3 : 1) out[to] = pixels[from] * factor + offset
      }
    }
  }
  return out
}
