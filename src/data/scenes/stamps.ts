import { type Drawn, resizeSquare } from '../sprites/index.ts'

/** Which pixels count as an object's: those it draws on, those and what they enclose, or its whole box. */
export type MaskKind = 'drawn' | 'filled' | 'box'

/** A drawing at one size. */
export interface Stamp {
  readonly size: number
  /** [size, size], 0 .. 255 */
  readonly cover: Uint8Array
  /** [size, size], 1 where the object is. */
  readonly mask: Uint8Array
  /** What the mask spans: left, top, right, bottom, the last two exclusive. */
  readonly box: readonly [number, number, number, number]
}

/** From this coverage on a pixel is drawn on. */
const drawnFrom = 96

/** Drawings at any size, made when first asked for and kept. */
export class Stamps {
  readonly #drawn: Drawn<unknown>
  readonly #kind: MaskKind
  readonly #made = new Map<number, Stamp>()

  constructor(drawn: Drawn<unknown>, kind: MaskKind) {
    this.#drawn = drawn
    this.#kind = kind
  }

  /** @param row which drawing */
  get(row: number, size: number): Stamp {
    const key = row * 4096 + size
    let stamp = this.#made.get(key)
    if (!stamp) {
      const { size: from, alpha } = this.#drawn
      const cover = resizeSquare(alpha.subarray(row * from * from, (row + 1) * from * from), from, size)
      const mask = maskOf(cover, size, this.#kind)
      stamp = { size, cover, mask, box: boxOf(mask, size) }
      this.#made.set(key, stamp)
    }
    return stamp
  }
}

function maskOf(cover: Uint8Array, size: number, kind: MaskKind): Uint8Array {
  if (kind === 'box') return new Uint8Array(size * size).fill(1)
  const drawn = cover.map(value => Number(value >= drawnFrom))
  return kind === 'drawn' ? drawn : filled(drawn, size)
}

/** Everything that cannot be reached from outside without crossing the drawing. */
function filled(drawn: Uint8Array, size: number): Uint8Array {
  const outside = new Uint8Array(size * size)
  const open: number[] = []
  const visit = (at: number): void => {
    if (drawn[at] || outside[at]) return
    outside[at] = 1
    open.push(at)
  }
  for (let i = 0; i < size; i++) {
    visit(i)
    visit((size - 1) * size + i)
    visit(i * size)
    visit(i * size + size - 1)
  }
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const x = at % size
    if (x > 0) visit(at - 1)
    if (x < size - 1) visit(at + 1)
    if (at >= size) visit(at - size)
    if (at < size * (size - 1)) visit(at + size)
  }
  return outside.map(value => 1 - value)
}

/** The smallest box around a mask; the whole square around an empty one. */
function boxOf(mask: Uint8Array, size: number): [number, number, number, number] {
  let [left, top, right, bottom] = [size, size, 0, 0]
  for (let at = 0; at < mask.length; at++) {
    if (!mask[at]) continue
    const [x, y] = [at % size, Math.floor(at / size)]
    left = Math.min(left, x)
    right = Math.max(right, x + 1)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y + 1)
  }
  return right > left ? [left, top, right, bottom] : [0, 0, size, size]
}
