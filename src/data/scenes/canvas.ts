import { RandomStream, randomPurposes } from '../random.ts'

/** How the ground of a scene looks. */
export type Ground = 'plain' | 'noise' | 'texture'

/** Side of the patterns that grounds are cut from; a power of two. */
const side = 256
const wrap = side - 1

/** Values from -127 to 127, the same in every process: grounds differ by where they are cut from. */
function noisePattern(): Int8Array {
  const random = new RandomStream(0, randomPurposes.texture, 0, 0)
  return Int8Array.from({ length: side * side }, () => random.integer(255) - 127)
}

/** Smooth noise: four octaves of random grids between which is interpolated, each half as strong as the one before. */
function texturePattern(number: number): Int8Array {
  const random = new RandomStream(0, randomPurposes.texture, 1, number)
  const sum = new Float64Array(side * side)
  for (const [octave, cells] of [8, 16, 32, 64].entries()) {
    const grid = Float64Array.from({ length: cells * cells }, () => random.uniform(-1, 1))
    const step = side / cells
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) sum[y * side + x] += smoothed(grid, cells, x / step, y / step) * 0.5 ** octave
  }
  const largest = sum.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return Int8Array.from(sum, value => Math.round((value / largest) * 127))
}

/** Bilinear with eased weights, wrapping around. */
function smoothed(grid: Float64Array, cells: number, x: number, y: number): number {
  const [x0, y0] = [Math.floor(x), Math.floor(y)]
  const ease = (t: number): number => t * t * (3 - 2 * t)
  const [u, v] = [ease(x - x0), ease(y - y0)]
  const at = (i: number, j: number): number => grid[(j % cells) * cells + (i % cells)]
  const top = at(x0, y0) * (1 - u) + at(x0 + 1, y0) * u
  const bottom = at(x0, y0 + 1) * (1 - u) + at(x0 + 1, y0 + 1) * u
  return top * (1 - v) + bottom * v
}

let patterns: { readonly noise: Int8Array; readonly textures: readonly Int8Array[] } | undefined
const allPatterns = () => {
  patterns ??= { noise: noisePattern(), textures: [0, 1, 2, 3].map(texturePattern) }
  return patterns
}

/** A picture being painted, [channels, height, width] bytes. */
export class Canvas {
  readonly channels: 1 | 3
  readonly height: number
  readonly width: number
  readonly pixels: Uint8Array

  constructor(channels: 1 | 3, height: number, width: number) {
    this.channels = channels
    this.height = height
    this.width = width
    this.pixels = new Uint8Array(channels * height * width)
  }

  /**
   * Fills the picture.
   * @param colour one value a channel, 0 .. 255
   * @param strength largest deviation from the colour, 0 .. 255
   */
  fill(ground: Ground, colour: readonly number[], strength: number, random: RandomStream): void {
    const { channels, height, width, pixels } = this
    const { noise, textures } = allPatterns()
    const pattern = ground === 'texture' ? textures[random.integer(textures.length)] : noise
    const scale = ground === 'plain' ? 0 : strength / 127
    for (let c = 0; c < channels; c++) {
      // Textures are of one hue, noise of any.
      const place = c === 0 || ground === 'noise' ? random.uint32() : undefined
      if (place !== undefined) this.#place = place
      const [ox, oy] = [this.#place & wrap, (this.#place >>> 8) & wrap]
      const base = colour[c % colour.length]
      for (let y = 0, at = c * height * width; y < height; y++) {
        const row = ((y + oy) & wrap) * side
        for (let x = 0; x < width; x++, at++) {
          const value = base + scale * pattern[row + ((x + ox) & wrap)]
          pixels[at] = Math.min(255, Math.max(0, value))
        }
      }
    }
  }

  #place = 0

  /** Lays a drawing of one colour over the picture; what lies outside is cut off. @param cover [size, size], 0 .. 255 */
  paint(cover: Uint8Array, size: number, left: number, top: number, colour: readonly number[]): void {
    const { channels, height, width, pixels } = this
    const [x0, x1] = [Math.max(0, left), Math.min(width, left + size)]
    for (let y = Math.max(0, top); y < Math.min(height, top + size); y++)
      for (let x = x0; x < x1; x++) {
        const share = cover[(y - top) * size + x - left]
        if (share === 0) continue
        for (let c = 0; c < channels; c++) {
          const at = (c * height + y) * width + x
          pixels[at] += Math.round(((colour[c % colour.length] - pixels[at]) * share) / 255)
        }
      }
  }

  /** Adds noise to what is painted. @param strength largest change, 0 .. 255 */
  grain(strength: number, random: RandomStream): void {
    const { noise } = allPatterns()
    const { channels, height, width, pixels } = this
    const place = random.uint32()
    for (let c = 0, at = 0; c < channels; c++) {
      const [ox, oy] = [((place >>> (8 * c)) * 37) & wrap, (place >>> 8) & wrap]
      for (let y = 0; y < height; y++) {
        const row = ((y + oy) & wrap) * side
        for (let x = 0; x < width; x++, at++) {
          const value = pixels[at] + (noise[row + ((x + ox) & wrap)] * strength) / 127
          pixels[at] = Math.min(255, Math.max(0, value))
        }
      }
    }
  }
}
