import { RandomStream } from '../../../data/index.ts'
import type { Picture } from './ranker.ts'

/** Purpose of the random streams of simulated sketches: nothing that training draws from uses it. */
const sketchPurpose = 0x5ce7c401

/** How far a simulated hand strays. Each value is the most; what happens is drawn for every sketch. */
export interface SketchOptions {
  /** Any integer; the same seed gives the same sketch; default 20261. */
  readonly seed?: number
  /** Turn either way, in degrees; default 12. */
  readonly rotation?: number
  /** Relative growth or shrinking, of each axis by itself; default 0.15. */
  readonly scale?: number
  /** Shift along each axis, as a share of the side; default 0.05. */
  readonly shift?: number
  /** Distance that a stroke wobbles off its place, as a share of the side; default 0.02. */
  readonly wobble?: number
  /** Share of the strokes' length that is missing; default 0.12. */
  readonly gaps?: number
  /** Least and greatest width of the pen, as a share of the side; default [0.015, 0.045]. */
  readonly pen?: readonly [number, number]
}

/** Darkness at which a pixel belongs to a shape. */
const inkThreshold = 64

function inkOf({ pixels, size }: Picture): Uint8Array {
  const ink = new Uint8Array(size * size)
  for (let i = 0; i < ink.length; i++) {
    const luma = 0.299 * pixels[3 * i] + 0.587 * pixels[3 * i + 1] + 0.114 * pixels[3 * i + 2]
    ink[i] = Number(255 - luma >= inkThreshold)
  }
  return ink
}

/** The eight neighbours in circular order, starting above. */
const ring = [
  [-1, 0],
  [-1, 1],
  [0, 1],
  [1, 1],
  [1, 0],
  [1, -1],
  [0, -1],
  [-1, -1],
] as const

const neighbours = (mask: Uint8Array, size: number, y: number, x: number): number[] =>
  ring.map(([dy, dx]) => {
    const [ny, nx] = [y + dy, x + dx]
    return ny < 0 || nx < 0 || ny >= size || nx >= size ? 0 : mask[ny * size + nx]
  })

/** Whether a pixel may be peeled off without breaking the line, in either of the two passes of Zhang and Suen. */
function removable(around: readonly number[], pass: 0 | 1): boolean {
  const filled = around.reduce((sum, value) => sum + value, 0)
  if (filled < 2 || filled > 6) return false
  let rises = 0
  for (let i = 0; i < 8; i++) rises += Number(around[i] === 0 && around[(i + 1) % 8] === 1)
  if (rises !== 1) return false
  const [top, , right, , bottom, , left] = around
  return pass === 0
    ? top * right * bottom === 0 && right * bottom * left === 0
    : top * right * left === 0 && top * bottom * left === 0
}

/**
 * Thins shapes to lines of one pixel (Zhang and Suen 1984).
 *
 * @param mask [size, size] of 0 and 1
 */
export function thinned(mask: Uint8Array, size: number): Uint8Array {
  const out = Uint8Array.from(mask)
  for (let changed = true; changed; ) {
    changed = false
    for (const pass of [0, 1] as const) {
      const peeled: number[] = []
      for (let i = 0; i < out.length; i++) {
        if (out[i] && removable(neighbours(out, size, Math.floor(i / size), i % size), pass)) peeled.push(i)
      }
      for (const i of peeled) out[i] = 0
      changed ||= peeled.length > 0
    }
  }
  return out
}

/** Pixels of shapes that touch the outside by an edge. */
function outline(mask: Uint8Array, size: number): Uint8Array {
  return mask.map((value, i) => {
    if (!value) return 0
    const around = neighbours(mask, size, Math.floor(i / size), i % size)
    return Number(around[0] * around[2] * around[4] * around[6] === 0)
  })
}

/** The lines that a person would follow: middles of strokes, outlines of filled shapes. */
function penLines(ink: Uint8Array, size: number): Uint8Array {
  const middle = thinned(ink, size)
  const total = ink.reduce((sum, value) => sum + value, 0)
  const length = middle.reduce((sum, value) => sum + value, 0)
  // Ink divided by the length of its middle line is the mean width of its strokes.
  return total / Math.max(1, length) > size * 0.1 ? outline(ink, size) : middle
}

/** A smooth random displacement: waves of two lengths along both axes. */
function wobbleField(random: RandomStream, size: number, amount: number): (y: number, x: number) => [number, number] {
  const waves = Array.from({ length: 4 }, (_, i) => {
    const turns = i < 2 ? random.uniform(0.7, 1.6) : random.uniform(2.5, 5)
    const angle = random.uniform(0, 2 * Math.PI)
    const frequency = (2 * Math.PI * turns) / size
    return {
      fy: frequency * Math.sin(angle),
      fx: frequency * Math.cos(angle),
      phase: random.uniform(0, 2 * Math.PI),
      direction: random.uniform(0, 2 * Math.PI),
      height: (i < 2 ? 0.7 : 0.3) * amount * size,
    }
  })
  return (y, x) => {
    let [dy, dx] = [0, 0]
    for (const { fy, fx, phase, direction, height } of waves) {
      const value = height * Math.sin(fy * y + fx * x + phase)
      dy += value * Math.sin(direction)
      dx += value * Math.cos(direction)
    }
    return [dy, dx]
  }
}

/** Rotation, unequal scale, shift and wobble, about the middle of the picture. */
function handMotion(random: RandomStream, size: number, options: Required<SketchOptions>) {
  const { rotation, scale, shift, wobble } = options
  const angle = (random.uniform(-rotation, rotation) * Math.PI) / 180
  const stretch = [random.uniform(1 - scale, 1 + scale / 2), random.uniform(1 - scale, 1 + scale / 2)]
  const offset = [random.uniform(-shift, shift) * size, random.uniform(-shift, shift) * size]
  const field = wobbleField(random, size, random.uniform(wobble / 4, wobble))
  const middle = (size - 1) / 2
  return (row: number, column: number): [number, number] => {
    const [y, x] = [(row - middle) * stretch[0], (column - middle) * stretch[1]]
    const [dy, dx] = field(row, column)
    return [
      middle + offset[0] + x * Math.sin(angle) + y * Math.cos(angle) + dy,
      middle + offset[1] + x * Math.cos(angle) - y * Math.sin(angle) + dx,
    ]
  }
}

/** Discs in which the pen did not touch the paper, until about the wanted share of the line is gone. */
function dropGaps(random: RandomStream, lines: Uint8Array, size: number, share: number): Uint8Array {
  const points = Array.from(lines.keys()).filter(i => lines[i])
  const wanted = points.length * random.uniform(0, share)
  const kept = Uint8Array.from(lines)
  for (let gone = 0; gone < wanted; ) {
    const centre = points[random.integer(points.length)]
    const radius = random.uniform(0.015, 0.04) * size
    for (const i of points) {
      const distance = Math.hypot(Math.floor(i / size) - Math.floor(centre / size), (i % size) - (centre % size))
      if (kept[i] && distance <= radius) {
        kept[i] = 0
        gone++
      }
    }
  }
  return kept
}

/** A round pen of a radius: darkens what it covers, its rim by the share it covers. */
function stamp(canvas: Float32Array, size: number, y: number, x: number, radius: number): void {
  const reach = Math.ceil(radius + 1)
  for (let row = Math.round(y) - reach; row <= Math.round(y) + reach; row++) {
    for (let column = Math.round(x) - reach; column <= Math.round(x) + reach; column++) {
      if (row < 0 || column < 0 || row >= size || column >= size) continue
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(row - y, column - x)))
      if (cover > canvas[row * size + column]) canvas[row * size + column] = cover
    }
  }
}

/**
 * Simulates a person who draws an icon from memory with a mouse: the icon's strokes become their middle lines and filled
 * shapes their outlines; these are turned, stretched, shifted, wobbled and broken, and drawn again with a pen of another
 * width, black on white.
 *
 * @param picture at least 32 pixels wide; 128 or more draw well
 * @param index tells the sketches of one seed apart: the same seed and index give the same sketch
 * @returns a picture of the same size; an empty one if the icon is
 */
export function simulatedSketch(picture: Picture, index: number, options: SketchOptions = {}): Picture {
  const settings: Required<SketchOptions> = {
    seed: 20261,
    rotation: 12,
    scale: 0.15,
    shift: 0.05,
    wobble: 0.02,
    gaps: 0.12,
    pen: [0.015, 0.045],
    ...options,
  }
  const { size } = picture
  const random = new RandomStream(settings.seed, sketchPurpose, 0, index)
  const move = handMotion(random, size, settings)
  const radius = (random.uniform(settings.pen[0], settings.pen[1]) * size) / 2
  const lines = dropGaps(random, penLines(inkOf(picture), size), size, settings.gaps)
  const canvas = new Float32Array(size * size)
  for (let i = 0; i < lines.length; i++) {
    if (!lines[i]) continue
    const [y, x] = move(Math.floor(i / size), i % size)
    stamp(canvas, size, y, x, radius)
  }
  const pixels = new Uint8Array(3 * size * size)
  for (let i = 0; i < canvas.length; i++) pixels.fill(Math.round(255 * (1 - canvas[i])), 3 * i, 3 * i + 3)
  return { pixels, size }
}
