import { RandomStream, randomPurposes } from '../random.ts'
import { type Drawn, type DrawnIcon, drawIcons, hashShare, type IconDrawingOptions } from '../sprites/index.ts'
import { Canvas } from './canvas.ts'
import { type MaskKind, Stamps } from './stamps.ts'

/** Grey pictures in which the shape in the top left corner says which others are to be marked. */
export interface CueSceneOptions extends Pick<IconDrawingOptions, 'sets' | 'cache'> {
  /** Side in pixels. Default 64 */
  readonly size?: number
  /** Side of every icon. Default 14 */
  readonly iconSize?: number
  /** Icons beside the cue. Default 4 */
  readonly others?: number
  /** How many of them are of the cue's shape. Default 2 */
  readonly copies?: number
  /** Shapes to choose from, before they are split into parts: three in four are trained on. Default 400 */
  readonly shapes?: number
  /** Noise over everything, 0 .. 255. Default 40 */
  readonly grain?: number
  /** Default `filled` */
  readonly masks?: MaskKind
  readonly seed?: number
}

export interface CueBatch {
  /** [n, 1, size, size], bytes b as (b / 255 - 0.5) / 0.25 */
  readonly images: Float32Array
  /** [n, size, size]: 1 on copies of the cue, 0 elsewhere, on the cue too. */
  readonly masks: Int32Array
}

type Part = 'train' | 'test'

/** Any number of such pictures: the same number gives the same picture. */
export class CueScenes {
  readonly part: Part
  readonly size: number
  readonly #options: Required<Omit<CueSceneOptions, 'sets' | 'cache' | 'size'>>
  readonly #stamps: Stamps
  readonly #rows: readonly number[]

  constructor(drawn: Drawn<DrawnIcon>, part: Part, options: CueSceneOptions = {}) {
    const { size = 64, sets: _sets, cache: _cache, ...rest } = options
    this.part = part
    this.size = size
    this.#options = { iconSize: 14, others: 4, copies: 2, shapes: 400, grain: 40, masks: 'filled', seed: 0, ...rest }
    const { iconSize, others, copies } = this.#options
    if (copies > others) throw new RangeError(`cue scenes: ${copies} copies among ${others} icons; expected no more`)
    if (size < 2 * iconSize + 2)
      throw new RangeError(
        `cue scenes: icons of ${iconSize} px have no room in ${size} px; expected ${2 * iconSize + 2}`,
      )
    this.#stamps = new Stamps(drawn, this.#options.masks)
    this.#rows = drawn.items.flatMap(({ concept }, row) =>
      hashShare(`tenet cues ${concept}`) < 0.25 === (part === 'test') ? [row] : [],
    )
    if (this.#rows.length < others + 1)
      throw new Error(`cue scenes: only ${this.#rows.length} shapes to ${part} with; install more icon sets`)
  }

  /** Number of shapes that this part draws from. */
  get shapes(): number {
    return this.#rows.length
  }

  /** Pictures `first`, `first + 1`, … */
  batch(first: number, count: number): CueBatch {
    const area = this.size ** 2
    const images = new Float32Array(count * area)
    const masks = new Int32Array(count * area)
    for (let i = 0; i < count; i++) {
      const { pixels, mask } = this.#scene(first + i)
      for (let at = 0; at < area; at++) images[i * area + at] = pixels[at] * (4 / 255) - 2
      masks.set(mask, i * area)
    }
    return { images, masks }
  }

  #scene(number: number): { pixels: Uint8Array; mask: Uint8Array } {
    const { iconSize, others, copies, grain, seed } = this.#options
    const { size } = this
    const random = new RandomStream(seed, randomPurposes.cueScene, Number(this.part === 'test'), number)
    const canvas = new Canvas(1, size, size)
    canvas.fill('texture', [random.uniform(110, 145)], 30, random)
    const shapes = random.shuffle([...this.#rows]).slice(0, others - copies + 1)
    const cue = this.#stamps.get(shapes[0], iconSize)
    const corner = 1
    const ink = [random.uniform() < 0.5 ? 20 : 235]
    canvas.paint(cue.cover, iconSize, corner, corner, ink)
    const mask = new Uint8Array(size * size)
    const taken: [number, number][] = [[corner, corner]]
    for (let i = 0; i < others; i++) {
      const stamp = i < copies ? cue : this.#stamps.get(shapes[i - copies + 1], iconSize)
      const place = freePlace(taken, size, iconSize, random)
      if (!place) continue
      taken.push(place)
      canvas.paint(stamp.cover, iconSize, place[0], place[1], ink)
      if (i >= copies) continue
      for (let at = 0; at < stamp.mask.length; at++)
        if (stamp.mask[at]) mask[(place[1] + Math.floor(at / iconSize)) * size + place[0] + (at % iconSize)] = 1
    }
    canvas.grain(grain, random)
    return { pixels: canvas.pixels, mask }
  }
}

/** A place that meets none of those taken; undefined when none was found. */
function freePlace(
  taken: readonly (readonly [number, number])[],
  size: number,
  side: number,
  random: RandomStream,
): [number, number] | undefined {
  for (let tries = 0; tries < 200; tries++) {
    const [x, y] = [random.integer(size - side + 1), random.integer(size - side + 1)]
    if (taken.every(([left, top]) => Math.abs(x - left) >= side || Math.abs(y - top) >= side)) return [x, y]
  }
  return undefined
}

/** Cue scenes whose shapes to train and to test with are different things. */
export async function openCueScenes(
  options: CueSceneOptions = {},
): Promise<{ readonly train: CueScenes; readonly test: CueScenes }> {
  const { shapes = 400, iconSize = 14, sets, cache } = options
  const drawn = await drawIcons({
    size: Math.max(48, 2 * iconSize),
    concepts: shapes,
    minimumSets: 1,
    mostPerConcept: 1,
    sets,
    cache,
  })
  return { train: new CueScenes(drawn, 'train', options), test: new CueScenes(drawn, 'test', options) }
}
