import type { RandomStream } from '../../data/index.ts'

/**
 * Random changes that make a clean drawing look as people draw or find it: moved, turned, wobbly, thicker or thinner,
 * outlined, recoloured, inverted, partly erased. One object holds the buffers; images are RGB bytes over white, [size, size, 3].
 */
export class DrawingAugment {
  readonly #size: number
  readonly #a: Float32Array
  readonly #b: Float32Array

  constructor(size: number) {
    this.#size = size
    this.#a = new Float32Array(size * size * 3)
    this.#b = new Float32Array(size * size * 3)
  }

  /** Reads one image from `from` at `start` and writes its changed form to `to` at `place`. */
  apply(from: Uint8Array, start: number, to: Uint8Array, place: number, random: RandomStream): void {
    let [x, y] = [this.#a, this.#b]
    const swap = (): void => {
      ;[x, y] = [y, x]
    }
    this.#warp(from, start, x, random)
    if (random.uniform() < 0.25) {
      this.#outline(x, y)
      swap()
    } else if (random.uniform() < 0.35) {
      this.#thickness(x, y, random.uniform() < 0.5 ? 1 : -1, random.uniform(0.3, 1))
      swap()
    }
    this.#colours(x, random)
    if (random.uniform() < 0.15) this.#erase(x, random)
    for (let i = 0; i < x.length; i++) to[place + i] = 255 - Math.min(255, Math.max(0, Math.round(x[i])))
  }

  /** Rotation, scale, shear, shift and a slow wobble, by bilinear sampling; gives ink (255 minus brightness). */
  #warp(from: Uint8Array, start: number, out: Float32Array, random: RandomStream): void {
    const size = this.#size
    const middle = (size - 1) / 2
    const angle = random.uniform(-0.25, 0.25) * (random.uniform() < 0.5 ? 1 : 0.2)
    const scale = random.uniform(0.88, 1.3)
    const squeeze = random.uniform(0.9, 1.1)
    const shear = random.uniform(-0.12, 0.12)
    const dx = random.uniform(-0.09, 0.09) * size
    const dy = random.uniform(-0.09, 0.09) * size
    const wobble = random.uniform() < 0.3 ? random.uniform(0.3, 0.045 * size) : 0
    const [f1, f2, p1, p2] = [
      random.uniform(0.1, 0.5),
      random.uniform(0.1, 0.5),
      random.uniform(0, 6.28),
      random.uniform(0, 6.28),
    ]
    const [c, s] = [Math.cos(angle) * scale, Math.sin(angle) * scale]
    let o = 0
    for (let j = 0; j < size; j++)
      for (let i = 0; i < size; i++, o += 3) {
        const u = i - middle - dx
        const v = (j - middle - dy) * squeeze
        const px = c * u - s * v + shear * v + middle + wobble * Math.sin(f1 * j + p1)
        const py = s * u + c * v + middle + wobble * Math.sin(f2 * i + p2)
        const x0 = Math.floor(px)
        const y0 = Math.floor(py)
        let [r, g, b] = [0, 0, 0]
        for (let k = 0; k < 4; k++) {
          const xx = x0 + (k & 1)
          const yy = y0 + (k >> 1)
          if (xx < 0 || yy < 0 || xx >= size || yy >= size) continue
          const w = (k & 1 ? px - x0 : 1 - px + x0) * (k >> 1 ? py - y0 : 1 - py + y0)
          const at = start + (yy * size + xx) * 3
          r += w * (255 - from[at])
          g += w * (255 - from[at + 1])
          b += w * (255 - from[at + 2])
        }
        out[o] = r
        out[o + 1] = g
        out[o + 2] = b
      }
  }

  /** Dark lines where brightness changes: what somebody draws who outlines a filled shape. */
  #outline(x: Float32Array, out: Float32Array): void {
    const size = this.#size
    const grey = (i: number, j: number): number => {
      if (i < 0 || j < 0 || i >= size || j >= size) return 0
      const at = (j * size + i) * 3
      return (x[at] + x[at + 1] + x[at + 2]) / 3
    }
    let o = 0
    for (let j = 0; j < size; j++)
      for (let i = 0; i < size; i++, o += 3) {
        const gx = grey(i + 1, j) - grey(i - 1, j)
        const gy = grey(i, j + 1) - grey(i, j - 1)
        const edge = Math.min(255, 1.4 * Math.sqrt(gx * gx + gy * gy))
        out[o] = edge
        out[o + 1] = edge
        out[o + 2] = edge
      }
  }

  /** Blends with the largest (thicker) or smallest (thinner) ink of the four neighbours. */
  #thickness(x: Float32Array, out: Float32Array, sign: 1 | -1, strength: number): void {
    const size = this.#size
    const row = size * 3
    for (let at = 0; at < x.length; at++) {
      const column = Math.floor(at / 3) % size
      let extreme = x[at] * sign
      if (column > 0) extreme = Math.max(extreme, x[at - 3] * sign)
      if (column < size - 1) extreme = Math.max(extreme, x[at + 3] * sign)
      if (at >= row) extreme = Math.max(extreme, x[at - row] * sign)
      if (at + row < x.length) extreme = Math.max(extreme, x[at + row] * sign)
      out[at] = x[at] + (extreme * sign - x[at]) * strength
    }
  }

  /** Grey, another ink, or light on dark. */
  #colours(x: Float32Array, random: RandomStream): void {
    if (random.uniform() < 0.35)
      for (let i = 0; i < x.length; i += 3) {
        const grey = (x[i] + x[i + 1] + x[i + 2]) / 3
        x[i] = grey
        x[i + 1] = grey
        x[i + 2] = grey
      }
    if (random.uniform() < 0.3) {
      const gains = [random.uniform(0.35, 1), random.uniform(0.35, 1), random.uniform(0.35, 1)]
      for (let i = 0; i < x.length; i++) x[i] *= gains[i % 3]
    }
    if (random.uniform() < 0.08) for (let i = 0; i < x.length; i++) x[i] = 255 - x[i]
  }

  #erase(x: Float32Array, random: RandomStream): void {
    const size = this.#size
    const width = Math.round(random.uniform(0.15, 0.4) * size)
    const height = Math.round(random.uniform(0.15, 0.4) * size)
    const left = random.integer(size - width + 1)
    const top = random.integer(size - height + 1)
    for (let j = top; j < top + height; j++) x.fill(0, (j * size + left) * 3, (j * size + left + width) * 3)
  }
}
