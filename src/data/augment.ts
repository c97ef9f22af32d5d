import { type SampleShape, sizeOf } from './dataset.ts'
import { channelTransform, checkNormalisation, type Normalisation } from './normalise.ts'
import { RandomStream, randomPurposes } from './random.ts'
import { type Crop, type Pixels, type PlaneSize, resizeCrop, rotateAndShift, windowPositions } from './resample.ts'

/** Random changes of a training image, applied in the order listed here. All sizes are [height, width] in pixels. */
export interface AugmentOptions {
  /**
   * A part of random area and aspect ratio, resized to `size` (Szegedy et al., "Going deeper with convolutions", CVPR
   * 2015, section 6). Defaults: `scale` [0.08, 1] of the image's area, `ratio` [3/4, 4/3] width over height.
   */
  randomResizedCrop?: {
    size: readonly [height: number, width: number]
    scale?: readonly [low: number, high: number]
    ratio?: readonly [low: number, high: number]
  }
  /** Turns by up to so many degrees either way, about the centre. */
  rotation?: number
  /** Moves by up to this share of the height and of the width, either way. */
  translation?: number
  /**
   * A window at a random place of the image padded on all sides. Defaults: `size` that of the image, `padding` 0, `edge`
   * `constant` (0: black).
   */
  randomCrop?: {
    padding?: number
    size?: readonly [height: number, width: number]
    edge?: 'constant' | 'reflect'
  }
  /** Probability of a mirror image, left for right; `true` is 0.5. */
  horizontalFlip?: number | boolean
  /**
   * Covers a random rectangle (Zhong et al., "Random erasing data augmentation", AAAI 2020). Defaults: `probability` 0.5,
   * `area` [0.02, 0.33] of the image, `ratio` [0.3, 3.3] height over width, `fill` 0; the fill, a number or standard normal
   * noise, is in normalised units.
   */
  erasing?: {
    probability?: number
    area?: readonly [low: number, high: number]
    ratio?: readonly [low: number, high: number]
    fill?: number | 'noise'
  }
}

const attempts = 10

function checkRange(name: string, [low, high]: readonly [number, number], limit: number): void {
  if (!(low > 0 && low <= high && high <= limit)) {
    const bound = limit === Number.POSITIVE_INFINITY ? '' : ` up to ${limit}`
    throw new Error(`augment: ${name} must be two rising positive numbers${bound}, got [${low}, ${high}].`)
  }
}

function checkProbability(name: string, value: number): void {
  if (!(value >= 0 && value <= 1)) throw new Error(`augment: ${name} must be between 0 and 1, got ${value}.`)
}

function checkSize(name: string, size: readonly number[]): void {
  if (size.length !== 2 || !size.every(side => Number.isInteger(side) && side > 0)) {
    throw new Error(`augment: ${name} must be [height, width] in whole pixels, got [${size}].`)
  }
}

function checkOptions(options: AugmentOptions): void {
  const { randomResizedCrop, randomCrop, erasing } = options
  if (randomResizedCrop) {
    checkSize('randomResizedCrop.size', randomResizedCrop.size)
    checkRange('randomResizedCrop.scale', randomResizedCrop.scale ?? [0.08, 1], 1)
    checkRange('randomResizedCrop.ratio', randomResizedCrop.ratio ?? [3 / 4, 4 / 3], Number.POSITIVE_INFINITY)
  }
  if (randomCrop) {
    const { padding = 0, size } = randomCrop
    if (size) checkSize('randomCrop.size', size)
    if (!Number.isInteger(padding) || padding < 0) {
      throw new Error(`augment: randomCrop.padding must be a whole number of pixels, got ${padding}.`)
    }
  }
  checkProbability('horizontalFlip', Number(options.horizontalFlip ?? 0))
  checkProbability('translation', options.translation ?? 0)
  if (!Number.isFinite(options.rotation ?? 0)) {
    throw new Error(`augment: rotation must be a number of degrees, got ${options.rotation}.`)
  }
  if (erasing) {
    checkProbability('erasing.probability', erasing.probability ?? 0.5)
    checkRange('erasing.area', erasing.area ?? [0.02, 0.33], 1)
    checkRange('erasing.ratio', erasing.ratio ?? [0.3, 3.3], Number.POSITIVE_INFINITY)
  }
}

/** The part for a random resized crop; after ten misfits the largest central part whose ratio is allowed. */
export function drawResizedCrop(
  random: RandomStream,
  image: PlaneSize,
  scale: readonly [number, number],
  ratio: readonly [number, number],
): Crop {
  const area = image.height * image.width
  for (let attempt = 0; attempt < attempts; attempt++) {
    const target = area * random.uniform(scale[0], scale[1])
    const aspect = Math.exp(random.uniform(Math.log(ratio[0]), Math.log(ratio[1])))
    const width = Math.round(Math.sqrt(target * aspect))
    const height = Math.round(Math.sqrt(target / aspect))
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue
    const top = random.integer(image.height - height + 1)
    const left = random.integer(image.width - width + 1)
    return { top, left, height, width }
  }
  const aspect = Math.min(Math.max(image.width / image.height, ratio[0]), ratio[1])
  const width = Math.max(1, Math.min(image.width, Math.round(image.height * aspect)))
  const height = Math.max(1, Math.min(image.height, Math.round(image.width / aspect)))
  return { top: (image.height - height) >> 1, left: (image.width - width) >> 1, height, width }
}

/** The rectangle to erase, or undefined when ten draws did not fit. */
function drawErasedPart(
  random: RandomStream,
  image: PlaneSize,
  share: readonly [number, number],
  ratio: readonly [number, number],
): Crop | undefined {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const target = image.height * image.width * random.uniform(share[0], share[1])
    const aspect = Math.exp(random.uniform(Math.log(ratio[0]), Math.log(ratio[1])))
    const height = Math.round(Math.sqrt(target * aspect))
    const width = Math.round(Math.sqrt(target / aspect))
    if (height < 1 || width < 1 || height >= image.height || width >= image.width) continue
    const top = random.integer(image.height - height + 1)
    const left = random.integer(image.width - width + 1)
    return { top, left, height, width }
  }
  return undefined
}

/** Value maps of one channel: a table for bytes, scale and offset for floats, and what padding becomes. */
interface ChannelMap {
  scale: number
  offset: number
  table: Float32Array
}

/**
 * Turns stored samples into what a model is fed: random changes, then (x - mean) / std.
 *
 * Every draw is a pure function of (seed, epoch, index, which change), so results do not depend on which thread does the
 * work, on the order, on a restart, or on which other changes are switched on.
 *
 * @param shape of a stored sample; random changes need [channels, height, width]
 * @param unit the stored value that means 1: 255 for bytes, 1 for floats
 * @throws Error when an option is out of range or does not fit the shape
 */
export class Augmenter {
  /** Shape of what `apply` writes. */
  readonly outputShape: SampleShape
  private readonly channels: number
  private readonly input: PlaneSize
  private readonly resized: PlaneSize
  private readonly output: PlaneSize
  private readonly maps: ChannelMap[]
  private readonly columns: Int32Array
  private readonly rows: Int32Array
  private readonly scratch: [Float32Array, Float32Array]
  private readonly options: AugmentOptions
  private readonly seed: number

  constructor(
    shape: SampleShape,
    unit: number,
    seed: number,
    options: AugmentOptions = {},
    normalisation?: Normalisation,
  ) {
    checkOptions(options)
    const changes = Object.entries(options).filter(([, value]) => value !== undefined && value !== false && value !== 0)
    if (changes.length > 0 && shape.length !== 3) {
      throw new Error(
        `augment: ${changes[0][0]} needs images [channels, height, width], but the samples have shape [${shape}].`,
      )
    }
    this.options = options
    this.seed = seed
    // A sample that is not an image is one row for each channel.
    this.channels = shape[0]
    this.input =
      shape.length === 3 ? { height: shape[1], width: shape[2] } : { height: 1, width: sizeOf(shape) / shape[0] }
    const { randomResizedCrop, randomCrop } = options
    this.resized = randomResizedCrop
      ? { height: randomResizedCrop.size[0], width: randomResizedCrop.size[1] }
      : this.input
    this.output = randomCrop?.size ? { height: randomCrop.size[0], width: randomCrop.size[1] } : this.resized
    const padding = randomCrop?.padding ?? 0
    if (
      this.output.height > this.resized.height + 2 * padding ||
      this.output.width > this.resized.width + 2 * padding
    ) {
      throw new Error(
        `augment: randomCrop.size [${this.output.height}, ${this.output.width}] is larger than the image ` +
          `[${this.resized.height}, ${this.resized.width}] with padding ${padding}.`,
      )
    }
    this.outputShape = shape.length === 3 ? [this.channels, this.output.height, this.output.width] : shape
    if (normalisation) checkNormalisation(normalisation, this.channels)
    this.maps = Array.from({ length: this.channels }, (_, channel) => {
      const { scale, offset } = channelTransform(normalisation, channel, unit)
      return { scale, offset, table: Float32Array.from({ length: 256 }, (_, value) => value * scale + offset) }
    })
    this.columns = new Int32Array(this.output.width)
    this.rows = new Int32Array(this.output.height)
    const resizedLength = this.channels * this.resized.height * this.resized.width
    this.scratch = [
      new Float32Array(randomResizedCrop ? resizedLength : 0),
      new Float32Array(options.rotation || options.translation ? resizedLength : 0),
    ]
  }

  /**
   * Writes the sample `index` as it is in `epoch`.
   *
   * @param values stored values, the sample's from `offset`
   * @param out receives `outputShape` from `outOffset`
   */
  apply(values: Pixels, offset: number, out: Float32Array, outOffset: number, epoch: number, index: number): void {
    let current = { values, offset }
    current = this.resize(current.values, current.offset, epoch, index) ?? current
    current = this.turn(current.values, current.offset, epoch, index) ?? current
    this.drawWindow(epoch, index)
    this.copyWindow(current.values, current.offset, out, outOffset)
    this.erase(out, outOffset, epoch, index)
  }

  private resize(values: Pixels, offset: number, epoch: number, index: number) {
    const { randomResizedCrop } = this.options
    if (!randomResizedCrop) return undefined
    const { scale = [0.08, 1], ratio = [3 / 4, 4 / 3] } = randomResizedCrop
    const random = new RandomStream(this.seed, randomPurposes.resizedCrop, epoch, index)
    const crop = drawResizedCrop(random, this.input, scale, ratio)
    resizeCrop(values, offset, this.channels, this.input, crop, this.resized, this.scratch[0])
    return { values: this.scratch[0], offset: 0 }
  }

  private turn(values: Pixels, offset: number, epoch: number, index: number) {
    const { rotation = 0, translation = 0 } = this.options
    if (rotation === 0 && translation === 0) return undefined
    const random = new RandomStream(this.seed, randomPurposes.affine, epoch, index)
    const angle = random.uniform(-rotation, rotation)
    const right = Math.round(random.uniform(-1, 1) * translation * this.resized.width)
    const down = Math.round(random.uniform(-1, 1) * translation * this.resized.height)
    rotateAndShift(values, offset, this.channels, this.resized, angle, { right, down }, 0, this.scratch[1])
    return { values: this.scratch[1], offset: 0 }
  }

  /** Sets which column and row of the image each column and row of the output shows. */
  private drawWindow(epoch: number, index: number): void {
    const { randomCrop, horizontalFlip = 0 } = this.options
    let left = 0
    let top = 0
    if (randomCrop) {
      const padding = randomCrop.padding ?? 0
      const random = new RandomStream(this.seed, randomPurposes.crop, epoch, index)
      left = random.integer(this.resized.width + 2 * padding - this.output.width + 1) - padding
      top = random.integer(this.resized.height + 2 * padding - this.output.height + 1) - padding
    }
    const probability = horizontalFlip === true ? 0.5 : Number(horizontalFlip)
    const flipped =
      probability > 0 && new RandomStream(this.seed, randomPurposes.flip, epoch, index).uniform() < probability
    const edge = randomCrop?.edge ?? 'constant'
    windowPositions(this.resized.width, left, edge, flipped, this.columns)
    windowPositions(this.resized.height, top, edge, false, this.rows)
  }

  private copyWindow(values: Pixels, offset: number, out: Float32Array, outOffset: number): void {
    const { columns, rows, channels } = this
    const { height, width } = this.resized
    const bytes = values instanceof Uint8Array
    let to = outOffset
    for (let channel = 0; channel < channels; channel++) {
      const map = this.maps[channel]
      const plane = offset + channel * height * width
      for (let y = 0; y < rows.length; y++) {
        const row = rows[y] < 0 ? -1 : plane + rows[y] * width
        if (row < 0) out.fill(map.offset, to, to + columns.length)
        else if (bytes) copyBytes(values, row, columns, map, out, to)
        else copyFloats(values, row, columns, map, out, to)
        to += columns.length
      }
    }
  }

  private erase(out: Float32Array, outOffset: number, epoch: number, index: number): void {
    const { erasing } = this.options
    if (!erasing) return
    const { probability = 0.5, area = [0.02, 0.33], ratio = [0.3, 3.3], fill = 0 } = erasing
    const random = new RandomStream(this.seed, randomPurposes.erasing, epoch, index)
    if (random.uniform() >= probability) return
    const part = drawErasedPart(random, this.output, area, ratio)
    if (!part) return
    const { height, width } = this.output
    for (let channel = 0; channel < this.channels; channel++) {
      for (let y = part.top; y < part.top + part.height; y++) {
        const start = outOffset + (channel * height + y) * width + part.left
        if (fill !== 'noise') out.fill(fill, start, start + part.width)
        else for (let at = start; at < start + part.width; at++) out[at] = random.normal()
      }
    }
  }
}

function copyBytes(
  values: Uint8Array,
  row: number,
  columns: Int32Array,
  { table, offset }: ChannelMap,
  out: Float32Array,
  to: number,
): void {
  for (let x = 0; x < columns.length; x++) {
    const column = columns[x]
    out[to + x] = column < 0 ? offset : table[values[row + column]]
  }
}

function copyFloats(
  values: Float32Array,
  row: number,
  columns: Int32Array,
  { scale, offset }: ChannelMap,
  out: Float32Array,
  to: number,
): void {
  for (let x = 0; x < columns.length; x++) {
    const column = columns[x]
    out[to + x] = column < 0 ? offset : values[row + column] * scale + offset
  }
}
