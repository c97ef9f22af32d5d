import { join } from 'node:path'
import { hostTensor } from '../../core/index.ts'
import { readCheckpoint, saveCheckpoint } from '../../train/index.ts'
import { cacheFolder, sha256 } from '../download.ts'
import { SvgRasterizer } from '../svg/index.ts'

/** What is to be drawn: anything JSON that says what it is, and its document. */
export interface Drawing<Item> {
  readonly item: Item
  /** A complete `<svg>` document; `currentColor` is black. */
  readonly svg: string
}

/** Drawings as pixels, one after the other. */
export interface Drawn<Item> {
  /** Side in pixels. */
  readonly size: number
  readonly items: readonly Item[]
  /** Share of each pixel that is covered, 0 .. 255: [n, size, size] */
  readonly alpha: Uint8Array
  /** Colours, where asked for: [n, 3, size, size]; meaningless where alpha is 0. */
  readonly colours?: Uint8Array
}

export interface DrawOptions {
  readonly size: number
  /** Keep colours too. Default false: a drawing is where it is dark. */
  readonly colour?: boolean
  /** What decides the drawings beside size and colour; equal keys must mean equal drawings. */
  readonly key: string
  /** Folder that pixels are kept in. Default `drawings` in `cacheFolder()`. */
  readonly cache?: string
}

/** Raised when drawing changes, so that no cache of before is used. */
const version = 1

/** The document on a ground of its own, as a square: what is transparent differs between two grounds. */
function onGround(svg: string, ground: 'white' | 'black'): string {
  const inner = svg.replace(/<svg\b[^>]*>/, tag => {
    const kept = tag.replace(/\s(?:width|height)="[^"]*"/g, '')
    return kept.replace('<svg', '<svg width="100" height="100"')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100"><rect width="100" height="100" fill="${ground}"/>${inner}</svg>`
}

/**
 * Draws documents once and keeps their pixels on the disk: the next call with the same key reads them back, without making
 * the list of documents. Documents that cannot be drawn are left out.
 *
 * @param list makes the list when nothing is kept
 * @throws RangeError on a size that is not 1 .. 2048
 */
export async function draw<Item>(
  list: () => Iterable<Drawing<Item>>,
  { size, colour = false, key, cache = join(cacheFolder(), 'drawings') }: DrawOptions,
): Promise<Drawn<Item>> {
  const path = join(
    cache,
    `${sha256(Buffer.from(JSON.stringify([version, size, colour, key]))).slice(0, 24)}.safetensors`,
  )
  // What is missing or damaged is drawn again.
  const kept = await readCheckpoint(path).catch(() => undefined)
  if (kept)
    return {
      size,
      items: kept.state.items as Item[],
      alpha: kept.tensors.get('alpha')!.data as Uint8Array,
      colours: kept.tensors.get('colours')?.data as Uint8Array | undefined,
    }
  const drawn = await drawAll([...list()], size, colour)
  const n = drawn.items.length
  const tensors = new Map([['alpha', hostTensor(drawn.alpha, [n, size, size])]])
  if (drawn.colours) tensors.set('colours', hostTensor(drawn.colours, [n, 3, size, size]))
  await saveCheckpoint(path, { tensors, state: { items: drawn.items } })
  return drawn
}

async function drawAll<Item>(drawings: readonly Drawing<Item>[], size: number, colour: boolean): Promise<Drawn<Item>> {
  const rasterizer = await SvgRasterizer.create()
  try {
    const onWhite = await rasterizer.rasterise(
      drawings.map(({ svg }) => onGround(svg, 'white')),
      size,
    )
    const onBlack = colour
      ? await rasterizer.rasterise(
          drawings.map(({ svg }) => onGround(svg, 'black')),
          size,
        )
      : undefined
    const failed = new Set([...onWhite.failed, ...(onBlack?.failed ?? [])].map(({ index }) => index))
    const good = drawings.map((_, i) => i).filter(i => !failed.has(i))
    const area = size * size
    const alpha = new Uint8Array(good.length * area)
    const colours = colour ? new Uint8Array(good.length * 3 * area) : undefined
    for (const [row, i] of good.entries()) {
      const white = onWhite.pixels.subarray(i * area * 3, (i + 1) * area * 3)
      const black = onBlack?.pixels.subarray(i * area * 3, (i + 1) * area * 3)
      separate(
        white,
        black,
        alpha.subarray(row * area, (row + 1) * area),
        colours?.subarray(row * 3 * area, (row + 1) * 3 * area),
      )
    }
    return { size, items: good.map(i => drawings[i].item), alpha, colours }
  } finally {
    await rasterizer.close()
  }
}

/** Coverage, and colour where there is a second ground to tell it by: white - black = 255 (1 - alpha) in every channel. */
function separate(
  white: Uint8Array,
  black: Uint8Array | undefined,
  alpha: Uint8Array,
  colours: Uint8Array | undefined,
): void {
  const area = alpha.length
  for (let at = 0; at < area; at++) {
    const [r, g, b] = [white[3 * at], white[3 * at + 1], white[3 * at + 2]]
    if (!black || !colours) {
      alpha[at] = 255 - Math.round(0.299 * r + 0.587 * g + 0.114 * b)
      continue
    }
    const seen = 255 - Math.max(0, g - black[3 * at + 1])
    alpha[at] = seen
    for (let c = 0; c < 3; c++)
      colours[c * area + at] = seen === 0 ? 0 : Math.min(255, Math.round((black[3 * at + c] * 255) / seen))
  }
}

/**
 * One square of coverage at another size: the mean over the area that each pixel comes from.
 *
 * @param source [from, from]
 * @returns [to, to]
 */
export function resizeSquare(source: Uint8Array, from: number, to: number): Uint8Array {
  if (from === to) return source.slice()
  // Separable: rows first, in floats, so that rounding happens once.
  const rows = new Float32Array(from * to)
  const weights = boxWeights(from, to)
  for (let y = 0; y < from; y++)
    for (let x = 0; x < to; x++) {
      let sum = 0
      for (const [at, weight] of weights[x]) sum += source[y * from + at] * weight
      rows[y * to + x] = sum
    }
  const out = new Uint8Array(to * to)
  for (let y = 0; y < to; y++)
    for (let x = 0; x < to; x++) {
      let sum = 0
      for (const [at, weight] of weights[y]) sum += rows[at * to + x] * weight
      out[y * to + x] = Math.round(sum)
    }
  return out
}

function boxWeights(from: number, to: number): (readonly [at: number, weight: number])[][] {
  const scale = from / to
  return Array.from({ length: to }, (_, i) => {
    const [low, high] = [i * scale, (i + 1) * scale]
    const parts: [number, number][] = []
    for (let at = Math.floor(low); at < Math.min(from, Math.ceil(high - 1e-9)); at++)
      parts.push([at, (Math.min(high, at + 1) - Math.max(low, at)) / scale])
    return parts
  })
}
