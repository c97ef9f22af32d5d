import { RandomStream, randomPurposes } from '../random.ts'
import { type Drawn, type DrawnIcon, drawIcons, hashShare, type IconDrawingOptions } from '../sprites/index.ts'
import { Canvas, type Ground } from './canvas.ts'
import { type Box, captionOf, type Relation, relationsOf } from './relations.ts'
import { type MaskKind, type Stamp, Stamps } from './stamps.ts'

/** What stands in a scene, and how it is painted. */
export interface SceneOptions {
  /** Side in pixels, or height and width. Default 64 */
  readonly size?: number | readonly [height: number, width: number]
  /** Grey (1) or colour (3). Default 3 */
  readonly channels?: 1 | 3
  /** Fewest and most objects. Default [3, 5]. Where they find no room there are fewer, and never none. */
  readonly objects?: readonly [number, number]
  /** Smallest and largest side of an object in pixels. Default [12, 24] */
  readonly objectSize?: readonly [number, number]
  /** Largest share of the smaller of two boxes that may be covered by the other. Default 0 */
  readonly overlap?: number
  /** Chance that an object is placed inside the box of an earlier one, at most half its side. Default 0 */
  readonly nested?: number
  /** Default `texture` */
  readonly ground?: Ground
  /** Strength of the ground's pattern, 0 .. 255. Default 40 */
  readonly strength?: number
  /** Noise over everything, 0 .. 255. Default 12 */
  readonly grain?: number
  /** Default `filled` */
  readonly masks?: MaskKind
  /** Seed of all scenes. Default 0 */
  readonly seed?: number
}

export interface SceneObject {
  /** Position in `classes`. */
  readonly concept: number
  /** The icon drawn, such as `mdi:bell`. */
  readonly icon: string
  /** Around the object's mask, before others cover it. */
  readonly box: Box
  /** Name of its colour. */
  readonly colour: string
  /** Share of its mask that no later object covers. */
  readonly visible: number
}

/** A composed picture and everything there is to know about it. */
export interface Scene {
  /** [channels, height, width], 0 .. 255 */
  readonly pixels: Uint8Array
  /** [height, width]: 0 for the ground, 1 + concept for an object's visible pixels. */
  readonly semantic: Uint8Array
  /** [height, width]: 0 for the ground, 1 + position in `objects`. */
  readonly instances: Uint8Array
  /** From back to front. */
  readonly objects: readonly SceneObject[]
  readonly relations: readonly Relation[]
  readonly caption: string
}

/** Scenes laid end to end, for a training step. */
export interface SceneBatch {
  /** [n, channels, height, width], bytes b as (b / 255 - 0.5) / 0.25 */
  readonly images: Float32Array
  /** [n, height, width] */
  readonly semantic: Int32Array
  readonly instances: Uint8Array
  readonly scenes: readonly Scene[]
}

/** Colours that people have one word for, and that no ground has. */
const colours: readonly (readonly [name: string, colour: readonly number[]])[] = [
  ['red', [214, 39, 40]],
  ['orange', [255, 140, 0]],
  ['yellow', [250, 214, 20]],
  ['green', [34, 150, 60]],
  ['blue', [40, 90, 220]],
  ['purple', [140, 60, 190]],
  ['black', [15, 15, 15]],
  ['white', [245, 245, 245]],
]
const greys: typeof colours = [
  ['black', [20]],
  ['white', [240]],
]

interface Placed {
  readonly row: number
  readonly stamp: Stamp
  readonly left: number
  readonly top: number
  readonly colour: (typeof colours)[number]
}

/** Which of the icons a part draws from. */
export type ScenePart = 'train' | 'validation' | 'test'
const partNumbers: Readonly<Record<ScenePart, number>> = { train: 0, validation: 1, test: 2 }

/** Any number of scenes: the same number gives the same scene, on every machine and in any order. */
export class Scenes {
  readonly classes: readonly string[]
  readonly part: ScenePart
  readonly channels: 1 | 3
  readonly size: readonly [height: number, width: number]
  readonly #options: Required<Omit<SceneOptions, 'size' | 'channels'>>
  readonly #drawn: Drawn<DrawnIcon>
  readonly #stamps: Stamps
  /** Rows of the drawings of each class. */
  readonly #rows: readonly (readonly number[])[]

  constructor(
    drawn: Drawn<DrawnIcon>,
    classes: readonly string[],
    part: ScenePart,
    includes: (icon: DrawnIcon) => boolean,
    options: SceneOptions = {},
  ) {
    const { size = 64, channels = 3, ...rest } = options
    this.size = typeof size === 'number' ? [size, size] : size
    this.channels = channels
    this.classes = classes
    this.part = part
    this.#options = {
      objects: [3, 5],
      objectSize: [12, 24],
      overlap: 0,
      nested: 0,
      ground: 'texture',
      strength: 40,
      grain: 12,
      masks: 'filled',
      seed: 0,
      ...rest,
    }
    checkOptions(this.size, this.#options)
    this.#drawn = drawn
    this.#stamps = new Stamps(drawn, this.#options.masks)
    this.#rows = classes.map(concept =>
      drawn.items.flatMap((icon, row) => (icon.concept === concept && includes(icon) ? [row] : [])),
    )
    const empty = classes.filter((_, c) => this.#rows[c].length === 0)
    if (empty.length) throw new Error(`scenes: the ${part} part has no drawing of ${empty.join(', ')}; add icon sets`)
  }

  /** @param number 0 .. 2^32 - 1 */
  scene(number: number): Scene {
    const { seed, ground, strength, grain } = this.#options
    const random = new RandomStream(seed, randomPurposes.scene, partNumbers[this.part], number)
    const [height, width] = this.size
    const canvas = new Canvas(this.channels, height, width)
    const base = random.uniform(90, 170)
    const tint = Array.from({ length: this.channels }, () => base + random.uniform(-25, 25))
    canvas.fill(ground, tint, strength, random)
    const placed = this.#place(random)
    for (const { stamp, left, top, colour } of placed) canvas.paint(stamp.cover, stamp.size, left, top, colour[1])
    if (grain > 0) canvas.grain(grain, random)
    return this.#described(canvas, placed)
  }

  /**
   * Scenes `first`, `first + 1`, …
   * @throws RangeError when that is more scenes than there are numbers
   */
  batch(first: number, count: number): SceneBatch {
    if (!(first >= 0 && first + count <= 2 ** 32)) throw new RangeError(`scenes: no scene ${first + count - 1}`)
    const scenes = Array.from({ length: count }, (_, i) => this.scene(first + i))
    const [height, width] = this.size
    const area = height * width
    const images = new Float32Array(count * this.channels * area)
    const semantic = new Int32Array(count * area)
    const instances = new Uint8Array(count * area)
    for (const [i, scene] of scenes.entries()) {
      const start = i * this.channels * area
      for (let at = 0; at < scene.pixels.length; at++) images[start + at] = scene.pixels[at] * (4 / 255) - 2
      semantic.set(scene.semantic, i * area)
      instances.set(scene.instances, i * area)
    }
    return { images, semantic, instances, scenes }
  }

  #place(random: RandomStream): Placed[] {
    const { objects, objectSize, nested } = this.#options
    const palette = this.channels === 1 ? greys : colours
    const wanted = objects[0] + random.integer(objects[1] - objects[0] + 1)
    const placed: Placed[] = []
    for (let tries = 0; placed.length < wanted && tries < 30 * wanted; tries++) {
      const concept = random.integer(this.classes.length)
      const rows = this.#rows[concept]
      const row = rows[random.integer(rows.length)]
      const hosts = placed.filter(({ stamp }) => stamp.size >= 2 * objectSize[0])
      const host = hosts.length && random.uniform() < nested ? hosts[random.integer(hosts.length)] : undefined
      const most = host ? Math.min(objectSize[1], Math.floor(host.stamp.size / 2)) : objectSize[1]
      const stamp = this.#stamps.get(row, objectSize[0] + random.integer(most - objectSize[0] + 1))
      const [left, top] = this.#position(stamp.size, host, random)
      const colour = palette[random.integer(palette.length)]
      const one = { row, stamp, left, top, colour }
      if (host || placed.every(other => this.#apart(one, other))) placed.push(one)
    }
    return placed
  }

  #position(size: number, host: Placed | undefined, random: RandomStream): [number, number] {
    const [height, width] = this.size
    if (!host) return [random.integer(width - size + 1), random.integer(height - size + 1)]
    const [left, top, right, bottom] = boxAt(host)
    const within = (low: number, high: number): number => low + random.integer(Math.max(1, high - low - size + 1))
    return [Math.min(within(left, right), width - size), Math.min(within(top, bottom), height - size)]
  }

  #apart(a: Placed, b: Placed): boolean {
    const [p, q] = [boxAt(a), boxAt(b)]
    const shared =
      Math.max(0, Math.min(p[2], q[2]) - Math.max(p[0], q[0])) *
      Math.max(0, Math.min(p[3], q[3]) - Math.max(p[1], q[1]))
    const area = ([left, top, right, bottom]: Box): number => (right - left) * (bottom - top)
    return shared <= this.#options.overlap * Math.min(area(p), area(q))
  }

  #described(canvas: Canvas, placed: readonly Placed[]): Scene {
    const { height, width, pixels } = canvas
    const semantic = new Uint8Array(height * width)
    const instances = new Uint8Array(height * width)
    const concepts = placed.map(({ row }) => this.classes.indexOf(this.#drawn.items[row].concept))
    const whole = placed.map(({ stamp, left, top }, i) => {
      let count = 0
      for (let at = 0; at < stamp.mask.length; at++) {
        if (!stamp.mask[at]) continue
        const to = (top + Math.floor(at / stamp.size)) * width + left + (at % stamp.size)
        instances[to] = i + 1
        semantic[to] = concepts[i] + 1
        count++
      }
      return count
    })
    const seen = new Array<number>(placed.length).fill(0)
    for (const instance of instances) if (instance) seen[instance - 1]++
    const boxes = placed.map(boxAt)
    const objects = placed.map((one, i) => ({
      concept: concepts[i],
      icon: this.#drawn.items[one.row].id,
      box: boxes[i],
      colour: one.colour[0],
      visible: whole[i] ? seen[i] / whole[i] : 0,
    }))
    const relations = relationsOf(boxes)
    const names = objects.map(({ colour, concept }) => `${colour} ${this.classes[concept].replaceAll('-', ' ')}`)
    return { pixels, semantic, instances, objects, relations, caption: captionOf(names, relations) }
  }
}

const boxAt = ({ stamp, left, top }: Placed): Box => [
  left + stamp.box[0],
  top + stamp.box[1],
  left + stamp.box[2],
  top + stamp.box[3],
]

function checkOptions(
  [height, width]: readonly [number, number],
  { objects, objectSize }: Pick<Required<SceneOptions>, 'objects' | 'objectSize'>,
): void {
  const whole = (value: number, least: number): boolean => Number.isInteger(value) && value >= least
  if (!whole(height, 8) || !whole(width, 8))
    throw new RangeError(`scenes: size is ${height} x ${width}; expected at least 8`)
  if (!whole(objects[0], 1) || !whole(objects[1], objects[0]) || objects[1] > 255)
    throw new RangeError(`scenes: objects are [${objects}]; expected two whole numbers, the smaller first, 1 .. 255`)
  if (!whole(objectSize[0], 4) || !whole(objectSize[1], objectSize[0]) || objectSize[1] > Math.min(height, width))
    throw new RangeError(
      `scenes: objectSize is [${objectSize}]; expected two whole numbers, the smaller first, 4 .. ${Math.min(height, width)}`,
    )
}

export interface OpenScenesOptions extends SceneOptions, Pick<IconDrawingOptions, 'concepts' | 'sets' | 'cache'> {
  /**
   * What the parts share: with `drawing` (default) no drawing of one part occurs in another, with `set` no icon set, with
   * `none` all parts draw the same icons and differ in their scenes only.
   */
  readonly split?: 'drawing' | 'set' | 'none'
}

export interface SceneParts {
  /** Names of the concepts; label 0 of a semantic mask is the ground, 1 + position a concept. */
  readonly classes: readonly string[]
  readonly train: Scenes
  readonly validation: Scenes
  readonly test: Scenes
}

/**
 * The part of each drawing: of every concept three in ten are tested with, one in ten chooses settings, and at least one
 * each where there are three.
 */
function partsOfDrawings(icons: readonly DrawnIcon[]): Map<string, ScenePart> {
  const byConcept = new Map<string, Set<string>>()
  for (const { concept, drawing } of icons) {
    const known = byConcept.get(concept)
    if (known) known.add(drawing)
    else byConcept.set(concept, new Set([drawing]))
  }
  const parts = new Map<string, ScenePart>()
  for (const drawings of byConcept.values()) {
    const ranked = [...drawings].sort((a, b) => hashShare(`tenet scenes ${a}`) - hashShare(`tenet scenes ${b}`))
    const test = Math.max(1, Math.round(0.3 * ranked.length))
    const validation = Math.max(1, Math.round(0.1 * ranked.length))
    for (const [i, drawing] of ranked.entries())
      parts.set(drawing, i < test ? 'test' : i < test + validation ? 'validation' : 'train')
  }
  return parts
}

/** Sets by part: drawn by different hands, so a style of one part occurs in no other. */
const partOfSet: Readonly<Record<string, ScenePart>> = {
  carbon: 'test',
  heroicons: 'test',
  iconoir: 'test',
  solar: 'test',
  ri: 'validation',
}

/**
 * Scenes composed of real icons: objects of a few concepts on a ground, with exact boxes, masks, relations and captions.
 *
 * @throws Error when icon sets or concepts are missing, RangeError on sizes that do not fit
 */
export async function openScenes(options: OpenScenesOptions = {}): Promise<SceneParts> {
  const { split = 'drawing', concepts, sets, cache, ...scene } = options
  const largest = scene.objectSize?.[1] ?? 24
  // One raster for all sizes: twice the largest, so that smaller ones are means of whole pixels or more.
  const drawn = await drawIcons({ size: Math.max(48, 2 * largest), concepts, sets, cache })
  const classes = [...new Set(drawn.items.map(({ concept }) => concept))]
  const drawings = partsOfDrawings(drawn.items)
  const part = (icon: DrawnIcon): ScenePart =>
    split === 'set' ? (partOfSet[icon.set] ?? 'train') : drawings.get(icon.drawing)!
  const made = (name: ScenePart): Scenes =>
    new Scenes(drawn, classes, name, icon => split === 'none' || part(icon) === name, scene)
  return { classes, train: made('train'), validation: made('validation'), test: made('test') }
}

/**
 * The label of each patch: that of the pixel at its centre.
 *
 * @param labels [n, height, width]
 * @returns [n, height / patch, width / patch]
 * @throws RangeError when the sides are not multiples of the patch
 */
export function tokenLabels(labels: ArrayLike<number>, height: number, width: number, patch: number): Int32Array {
  if (height % patch !== 0 || width % patch !== 0)
    throw new RangeError(`tokenLabels: ${height} x ${width} does not divide into patches of ${patch}`)
  const [rows, cols] = [height / patch, width / patch]
  const n = labels.length / (height * width)
  const centre = Math.floor(patch / 2)
  const out = new Int32Array(n * rows * cols)
  for (let i = 0, to = 0; i < n; i++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < cols; c++, to++)
        out[to] = labels[(i * height + r * patch + centre) * width + c * patch + centre]
  return out
}
