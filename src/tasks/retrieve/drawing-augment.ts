import type { RandomStream } from '../../data/index.ts'

/**
 * Random changes that make a clean drawing look as people draw or find it: moved, turned, wobbly, thicker or thinner,
 * outlined, recoloured, inverted, partly erased. One object holds the buffers; images are RGB bytes over white,
 * [size, size, 3]. Drawings in black are worked on in one channel, which takes a third of the time.
 */
export class DrawingAugment {
  readonly #size: number
  #channels = 3
  #x: Float32Array
  #spare: Float32Array

  constructor(size: number) {
    this.#size = size
    this.#x = new Float32Array(size * size * 3)
    this.#spare = new Float32Array(size * size * 3)
  }

  /** Reads one image from `from` at `start` and writes its changed form to `to` at `place`. @param colour false for drawings whose channels are equal */
  apply(from: Uint8Array, start: number, to: Uint8Array, place: number, random: RandomStream, colour = true): void {
    this.#channels = colour ? 3 : 1
    this.#warp(from, start, random)
    if (random.uniform() < 0.25) this.#outline()
    else if (random.uniform() < 0.35) this.#thickness(random.uniform() < 0.5 ? 1 : -1, random.uniform(0.3, 1))
    if (random.uniform() < 0.15) this.#erase(random)
    this.#write(to, place, random)
  }

  #swap(): void {
    const x = this.#x
    this.#x = this.#spare
    this.#spare = x
  }

  /** Rotation, scale, shear, shift and a slow wobble, by bilinear sampling; gives ink (255 minus brightness). */
  #warp(from: Uint8Array, start: number, random: RandomStream): void {
    const size = this.#size
    const channels = this.#channels
    const out = this.#x
    const middle = (size - 1) / 2
    const angle = random.uniform(-0.25, 0.25) * (random.uniform() < 0.5 ? 1 : 0.2)
    const scale = random.uniform(0.88, 1.3)
    const squeeze = random.uniform(0.9, 1.1)
    const shear = random.uniform(-0.12, 0.12)
    const dx = random.uniform(-0.09, 0.09) * size
    const dy = random.uniform(-0.09, 0.09) * size
    const wobble = random.uniform() < 0.3 ? random.uniform(0.3, 0.045 * size) : 0
    const [f1, f2, p1, p2] = [0.5, 0.5, 6.28, 6.28].map(most => random.uniform(most / 10, most))
    const cos = Math.cos(angle) * scale
    const sin = Math.sin(angle) * scale
    const across = Float64Array.from({ length: size }, (_, i) => wobble * Math.sin(f2 * i + p2))
    let o = 0
    for (let j = 0; j < size; j++) {
      const v = (j - middle - dy) * squeeze
      const wave = wobble * Math.sin(f1 * j + p1)
      for (let i = 0; i < size; i++, o += channels) {
        const u = i - middle - dx
        const px = cos * u + (shear - sin) * v + middle + wave
        const py = sin * u + cos * v + middle + across[i]
        const x0 = Math.floor(px)
        const y0 = Math.floor(py)
        for (let c = 0; c < channels; c++) out[o + c] = 0
        if (x0 < -1 || y0 < -1 || x0 >= size || y0 >= size) continue
        const fx = px - x0
        const fy = py - y0
        for (let k = 0; k < 4; k++) {
          const xx = x0 + (k & 1)
          const yy = y0 + (k >> 1)
          if (xx < 0 || yy < 0 || xx >= size || yy >= size) continue
          const w = (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy)
          const at = start + (yy * size + xx) * 3
          for (let c = 0; c < channels; c++) out[o + c] += w * (255 - from[at + c])
        }
      }
    }
  }

  /** Dark lines where brightness changes: what somebody draws who outlines a filled shape. */
  #outline(): void {
    const size = this.#size
    const channels = this.#channels
    const x = this.#x
    const out = this.#spare
    const grey = (i: number, j: number): number => {
      if (i < 0 || j < 0 || i >= size || j >= size) return 0
      const at = (j * size + i) * channels
      return channels === 1 ? x[at] : (x[at] + x[at + 1] + x[at + 2]) / 3
    }
    let o = 0
    for (let j = 0; j < size; j++)
      for (let i = 0; i < size; i++, o += channels) {
        const gx = grey(i + 1, j) - grey(i - 1, j)
        const gy = grey(i, j + 1) - grey(i, j - 1)
        const edge = Math.min(255, 1.4 * Math.sqrt(gx * gx + gy * gy))
        for (let c = 0; c < channels; c++) out[o + c] = edge
      }
    this.#swap()
  }

  /** Blends with the largest (thicker) or smallest (thinner) ink of the four neighbours. */
  #thickness(sign: 1 | -1, strength: number): void {
    const size = this.#size
    const channels = this.#channels
    const x = this.#x
    const out = this.#spare
    const row = size * channels
    let at = 0
    for (let j = 0; j < size; j++)
      for (let i = 0; i < size; i++)
        for (let c = 0; c < channels; c++, at++) {
          let extreme = x[at] * sign
          if (i > 0) extreme = Math.max(extreme, x[at - channels] * sign)
          if (i < size - 1) extreme = Math.max(extreme, x[at + channels] * sign)
          if (j > 0) extreme = Math.max(extreme, x[at - row] * sign)
          if (j < size - 1) extreme = Math.max(extreme, x[at + row] * sign)
          out[at] = x[at] + (extreme * sign - x[at]) * strength
        }
    this.#swap()
  }

  #erase(random: RandomStream): void {
    const size = this.#size
    const channels = this.#channels
    const width = Math.round(random.uniform(0.15, 0.4) * size)
    const height = Math.round(random.uniform(0.15, 0.4) * size)
    const left = random.integer(size - width + 1)
    const top = random.integer(size - height + 1)
    for (let j = top; j < top + height; j++)
      this.#x.fill(0, (j * size + left) * channels, (j * size + left + width) * channels)
  }

  /** Writes the ink as bytes: in grey, in another ink, or light on dark. */
  #write(to: Uint8Array, place: number, random: RandomStream): void {
    const x = this.#x
    const pixels = this.#size ** 2
    const toGrey = random.uniform() < 0.35
    const inked = random.uniform() < 0.3
    const gains = [0, 1, 2].map(() => (inked ? random.uniform(0.35, 1) : 1))
    const inverted = random.uniform() < 0.08
    const mono = this.#channels === 1
    for (let i = 0; i < pixels; i++) {
      const at = mono ? i : i * 3
      const grey = mono ? x[at] : (x[at] + x[at + 1] + x[at + 2]) / 3
      for (let c = 0; c < 3; c++) {
        const ink = (mono || toGrey ? grey : x[at + c]) * gains[c]
        const kept = Math.min(255, Math.max(0, Math.round(ink)))
        to[place + i * 3 + c] = inverted ? kept : 255 - kept
      }
    }
  }
}
