import { RandomStream, randomPurposes } from '../random.ts'
import { type Drawn, type DrawnIcon, drawIcons, type IconDrawingOptions } from '../sprites/index.ts'
import { Canvas } from './canvas.ts'
import { Stamps } from './stamps.ts'

/** Noisy boards of square regions with exactly two icons in regions that do not touch. */
export interface PairBoardOptions extends Pick<IconDrawingOptions, 'concepts' | 'sets' | 'cache'> {
  /** Regions along a side. Default 4 */
  readonly regions?: number
  /** Side of a region in pixels. Default 12 */
  readonly regionSize?: number
  /** Side of an icon. Default 10 */
  readonly iconSize?: number
  /** Noise over everything, 0 .. 255. Default 40 */
  readonly grain?: number
  readonly seed?: number
  /** Sets that are only tested with. */
  readonly heldOutSets?: readonly string[]
}

export interface PairBoardBatch {
  /** [n, 1, side, side], bytes b as (b / 255 - 0.5) / 0.25 */
  readonly images: Float32Array
  /** [n, 2]: the two icons' regions, row by row. */
  readonly regions: Int32Array
  /** [n, 2]: the concept of each icon. The region of one is to name the concept of the other. */
  readonly concepts: Int32Array
}

type Part = 'train' | 'test'

/** Any number of boards: the same number gives the same board. */
export class PairBoards {
  readonly part: Part
  readonly classes: readonly string[]
  /** Side of a board in pixels. */
  readonly size: number
  readonly #options: { regions: number; regionSize: number; iconSize: number; grain: number; seed: number }
  readonly #stamps: Stamps
  readonly #rows: readonly (readonly number[])[]
  readonly #pairs: readonly (readonly [number, number])[]

  constructor(drawn: Drawn<DrawnIcon>, part: Part, heldOut: ReadonlySet<string>, options: PairBoardOptions) {
    const { regions = 4, regionSize = 12, iconSize = 10, grain = 40, seed = 0 } = options
    if (iconSize > regionSize)
      throw new RangeError(`boards: icons of ${iconSize} px do not fit regions of ${regionSize} px`)
    if (regions < 3)
      throw new RangeError(`boards: of ${regions} x ${regions} regions all touch; expected at least 3 x 3`)
    this.part = part
    this.size = regions * regionSize
    this.#options = { regions, regionSize, iconSize, grain, seed }
    this.#stamps = new Stamps(drawn, 'drawn')
    this.classes = [...new Set(drawn.items.map(({ concept }) => concept))]
    this.#rows = this.classes.map(concept =>
      drawn.items.flatMap((icon, row) =>
        icon.concept === concept && heldOut.has(icon.set) === (part === 'test') ? [row] : [],
      ),
    )
    const empty = this.classes.filter((_, c) => this.#rows[c].length === 0)
    if (empty.length)
      throw new Error(`boards: no icon of ${empty.join(', ')} to ${part} with; choose other heldOutSets`)
    this.#pairs = pairsApart(regions)
  }

  /** Boards `first`, `first + 1`, … */
  batch(first: number, count: number): PairBoardBatch {
    const area = this.size ** 2
    const images = new Float32Array(count * area)
    const regions = new Int32Array(count * 2)
    const concepts = new Int32Array(count * 2)
    for (let i = 0; i < count; i++) {
      const board = this.#board(first + i)
      for (let at = 0; at < area; at++) images[i * area + at] = board.pixels[at] * (4 / 255) - 2
      regions.set(board.regions, 2 * i)
      concepts.set(board.concepts, 2 * i)
    }
    return { images, regions, concepts }
  }

  #board(number: number): { pixels: Uint8Array; regions: readonly number[]; concepts: readonly number[] } {
    const { regions: across, regionSize, iconSize, grain, seed } = this.#options
    const random = new RandomStream(seed, randomPurposes.board, Number(this.part === 'test'), number)
    const canvas = new Canvas(1, this.size, this.size)
    canvas.fill('plain', [random.uniform(200, 230)], 0, random)
    const regions = this.#pairs[random.integer(this.#pairs.length)]
    const concepts = regions.map(region => {
      const concept = random.integer(this.classes.length)
      const rows = this.#rows[concept]
      const { cover } = this.#stamps.get(rows[random.integer(rows.length)], iconSize)
      const offset = (): number => random.integer(regionSize - iconSize + 1)
      const left = (region % across) * regionSize + offset()
      const top = Math.floor(region / across) * regionSize + offset()
      canvas.paint(cover, iconSize, left, top, [20])
      return concept
    })
    canvas.grain(grain, random)
    return { pixels: canvas.pixels, regions, concepts }
  }
}

/** Ordered pairs of regions that do not touch, not even by a corner. */
function pairsApart(across: number): [number, number][] {
  const all = Array.from({ length: across * across }, (_, i) => i)
  const touching = (a: number, b: number): boolean =>
    Math.abs((a % across) - (b % across)) <= 1 && Math.abs(Math.floor(a / across) - Math.floor(b / across)) <= 1
  return all.flatMap(a => all.filter(b => !touching(a, b)).map((b): [number, number] => [a, b]))
}

/** Boards to train with and, of icon sets never trained with, to test with. */
export async function openPairBoards(
  options: PairBoardOptions = {},
): Promise<{ readonly classes: readonly string[]; readonly train: PairBoards; readonly test: PairBoards }> {
  const { concepts, sets, cache, heldOutSets = ['carbon', 'heroicons', 'iconoir', 'solar', 'ri'] } = options
  const drawn = await drawIcons({ size: 40, concepts, sets, cache })
  const heldOut = new Set(heldOutSets)
  const train = new PairBoards(drawn, 'train', heldOut, options)
  return { classes: train.classes, train, test: new PairBoards(drawn, 'test', heldOut, options) }
}
