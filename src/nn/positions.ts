import { concat, formatShape, resize, stack, type Tensor, tensor } from '../core/index.ts'

export interface RotaryOptions {
  /** Wavelengths run from 2 pi to 2 pi base; default 10000. */
  readonly base?: number
  /** Which two numbers turn together: neighbours (2i, 2i+1), the default, or i and i + dim/2 (LLaMA's order). */
  readonly layout?: 'interleaved' | 'halves'
  /** Position of the first row; default 0. */
  readonly start?: number
}

/**
 * Rotary position embedding: the i-th pair of each row is turned by position * base^(-2i/dim), so that the product of two
 * rows depends on their distance only.
 * @param x [..., positions, dim], dim even
 * @throws when dim is odd. Source: Su et al. 2021, section 3.2
 */
export function rotary(x: Tensor, { base = 10000, layout = 'interleaved', start = 0 }: RotaryOptions = {}): Tensor {
  const [positions, dim] = x.shape.slice(-2)
  if (dim % 2 !== 0) throw new Error(`rotary: the width must be even, got ${formatShape(x.shape)}`)
  const half = dim / 2
  const angles = Float64Array.from(
    { length: positions * half },
    (_, i) => (start + Math.floor(i / half)) * base ** ((-2 * (i % half)) / dim),
  )
  const table = (f: (angle: number) => number): Tensor => tensor(Float32Array.from(angles, f), [positions, half])
  const [cosines, sines] = [table(Math.cos), table(Math.sin)]
  const [a, b] = layout === 'halves' ? x.split(2, -1) : [x.slice(-1, 0, dim, 2), x.slice(-1, 1, dim, 2)]
  const turned = [a.mul(cosines).sub(b.mul(sines)), a.mul(sines).add(b.mul(cosines))]
  return layout === 'halves' ? concat(turned, -1) : stack(turned, -1).reshape(x.shape)
}

/** Sine and cosine of position / 10000^(2i/dim) for one position, at columns 2i and 2i+1, or in two halves. */
function sinusoid(position: number, column: number, dim: number, halves: boolean): number {
  const half = dim / 2
  const pair = halves ? column % half : Math.floor(column / 2)
  const angle = position / 10000 ** (pair / half)
  return (halves ? column < half : column % 2 === 0) ? Math.sin(angle) : Math.cos(angle)
}

/**
 * Fixed position vectors [positions, dim]: sin(p / 10000^(2i/dim)) at column 2i and the cosine at 2i+1.
 * @throws when dim is odd. Source: Vaswani et al. 2017, section 3.5
 */
export function sinusoidalPositions(positions: number, dim: number): Tensor {
  if (dim % 2 !== 0) throw new Error(`sinusoidalPositions: the width must be even, got ${dim}`)
  const values = Float32Array.from({ length: positions * dim }, (_, i) =>
    sinusoid(Math.floor(i / dim), i % dim, dim, false),
  )
  return tensor(values, [positions, dim])
}

/**
 * Fixed vectors of the cells of a grid [height * width, dim], row by row: the first half of each encodes the column, the
 * second the row, each as all sines and then all cosines (the order of MAE's official code).
 * @throws when dim is not a multiple of 4. Source: He et al. 2022, appendix A.1
 */
export function sinusoidalGrid(height: number, width: number, dim: number): Tensor {
  if (dim % 4 !== 0) throw new Error(`sinusoidalGrid: the width must be a multiple of 4, got ${dim}`)
  const half = dim / 2
  const values = Float32Array.from({ length: height * width * dim }, (_, i) => {
    const cell = Math.floor(i / dim)
    const column = i % dim
    const position = column < half ? cell % width : Math.floor(cell / width)
    return sinusoid(position, column % half, half, true)
  })
  return tensor(values, [height * width, dim])
}

/**
 * Learned position vectors of one grid, interpolated (cubic, antialiased when shrinking) for a grid of another size, so
 * that a model trained at one resolution runs at another.
 * @param positions [1, prefix + from height * from width, dim]
 * @param from height and width of the grid they were learned on
 * @param to height and width wanted
 * @param prefix number of leading tokens without a place (class token, registers), kept as they are; default 1
 * @returns [1, prefix + to height * to width, dim]
 * @throws when `positions` does not hold that many. Source: Dosovitskiy et al. 2021, section 3.2
 */
export function resizePositions(
  positions: Tensor,
  from: readonly [number, number],
  to: readonly [number, number],
  prefix = 1,
): Tensor {
  const [, count] = positions.shape
  if (positions.rank !== 3 || count !== prefix + from[0] * from[1])
    throw new Error(
      `resizePositions: ${formatShape(positions.shape)} does not hold ${prefix} tokens and a grid of ${from[0]}x${from[1]}`,
    )
  if (from[0] === to[0] && from[1] === to[1]) return positions
  const grid = positions.slice(1, prefix).rearrange('b (h w) d -> b d h w', { h: from[0] })
  const resized = resize(grid, { size: to, mode: 'cubic', antialias: true }).rearrange('b d h w -> b (h w) d')
  return prefix === 0 ? resized : concat([positions.slice(1, 0, prefix), resized], 1)
}
