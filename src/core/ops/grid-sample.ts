import { formatShape, requireConcrete, sizeOf } from '../shape.ts'
import { asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import {
  abs,
  add,
  clip,
  floor,
  greater,
  greaterOrEqual,
  less,
  minimum,
  mod,
  mul,
  or,
  requireFloat,
  round,
  sub,
  where,
} from './elementwise.ts'
import { gather } from './indexing.ts'
import { expandDims, moveAxis, reshape, swapAxes, zerosLike } from './layout.ts'

export type SampleMode = 'nearest' | 'linear' | 'cubic'
export type SamplePadding = 'zeros' | 'border' | 'reflection'

/** One neighbour read along one axis: where, and with which weight. */
interface Tap {
  /** i64, inside the axis. */
  readonly index: Tensor
  readonly weight: Tensor
}

/**
 * The neighbours that positions along an axis read, in elements, whole numbers being element centres.
 * A neighbour outside the axis weighs nothing; `wrap` may bring it inside beforehand.
 */
function neighbours(
  position: Tensor,
  size: number,
  mode: SampleMode,
  wrap: (neighbour: Tensor) => Tensor = neighbour => neighbour,
): Tap[] {
  const tap = (neighbour: Tensor, weight: Tensor): Tap => {
    const place = wrap(neighbour)
    const outside = or(less(place, 0), greater(place, size - 1))
    // Comparisons with NaN are false: a position that is no number reads element 0, and its weight is no number either.
    const index = where(greaterOrEqual(place, 0), minimum(place, size - 1), 0)
    return { index: cast(index, 'i64'), weight: where(outside, 0, weight) }
  }
  if (mode === 'nearest') return [tap(round(position), add(zerosLike(position), 1))]
  const low = floor(position)
  const rest = sub(position, low)
  const weights = mode === 'linear' ? [sub(1, rest), rest] : cubicWeights(rest)
  const first = mode === 'linear' ? 0 : -1
  return weights.map((weight, k) => tap(add(low, first + k), weight))
}

/** Weights of the elements at -1, 0, 1 and 2 for a position in 0..1, by Keys' kernel with a = -0.75. */
function cubicWeights(rest: Tensor): Tensor[] {
  const a = -0.75
  const near = (t: Tensor): Tensor => add(mul(mul(sub(mul(t, a + 2), a + 3), t), t), 1)
  const far = (t: Tensor): Tensor => sub(mul(add(mul(sub(mul(t, a), 5 * a), t), 8 * a), t), 4 * a)
  const other = sub(1, rest)
  return [far(add(rest, 1)), near(rest), near(other), far(add(other, 1))]
}

/**
 * Interpolates rows at positions in elements: the sum over the neighbours along every axis of weight times row.
 * @param rows [batch, product of `sizes`, channels]
 * @param taps for each of `sizes`, the neighbours there, each [batch, points]
 * @returns [batch, points, channels]
 */
function interpolateRows(rows: Tensor, sizes: readonly number[], taps: readonly (readonly Tap[])[]): Tensor {
  const combined = taps.reduce<readonly Tap[]>(
    (outer, axisTaps, axis) =>
      axis === 0
        ? axisTaps
        : outer.flatMap(a =>
            axisTaps.map(b => ({ index: add(mul(a.index, sizes[axis]), b.index), weight: mul(a.weight, b.weight) })),
          ),
    [],
  )
  return combined
    .map(({ index, weight }) => mul(gather(rows, index, 1, { batchDims: 1 }), expandDims(weight, 2)))
    .reduce((sum, part) => add(sum, part))
}

/**
 * Bilinear interpolation (linear along each of any number of axes) at positions in elements; what lies outside counts
 * as 0.
 * @param rows [batch, product of `sizes`, channels], the elements in row-major order
 * @param sizes sizes of the axes that are interpolated
 * @param positions one for each of `sizes`, [batch, points]; element centres are whole numbers
 * @param factor [batch, points], by which samples are multiplied; default 1
 * @returns [batch, points, channels]
 */
export function sampleRows(
  rows: Tensor,
  sizes: readonly number[],
  positions: readonly Tensor[],
  factor?: Tensor,
): Tensor {
  const taps = positions.map((position, axis) => neighbours(position, sizes[axis], 'linear'))
  // A factor on the weights of one axis costs less than one on the samples, which have channels.
  if (factor) taps[0] = taps[0].map(({ index, weight }) => ({ index, weight: mul(weight, factor) }))
  return interpolateRows(rows, sizes, taps)
}

/** Mirrors positions back into the axis: about its outermost centres, or about its edges. */
function reflect(position: Tensor, size: number, alignCorners: boolean): Tensor {
  const low = alignCorners ? 0 : -0.5
  const span = alignCorners ? size - 1 : size
  if (span === 0) return zerosLike(position)
  // A triangle wave of period 2 span.
  const phase = mod(abs(sub(position, low)), 2 * span)
  return clip(add(sub(span, abs(sub(phase, span))), low), 0, size - 1)
}

export interface GridSampleOptions {
  /** `linear` (default) is bilinear for images and trilinear for volumes; `nearest` rounds halves to even; `cubic` uses a = -0.75. */
  readonly mode?: SampleMode
  /** What is read outside: `zeros` (default), the `border` element, or the `reflection` of the inside. */
  readonly padding?: SamplePadding
  /** Whether -1 and 1 are the centres of the outermost elements, instead of their outer edges; default false. */
  readonly alignCorners?: boolean
}

/**
 * Reads `x` at the positions of a grid: y[b, :, p] = x[b, :, grid[b, p]], interpolated (PyTorch's `grid_sample`;
 * Jaderberg et al. 2015). Differentiable in `x` and, except for `nearest`, in `grid`.
 * @param x [batch, channels, height, width] or [batch, channels, depth, height, width]
 * @param grid [batch, ...out, 2 or 3], coordinates in -1..1 in the order x, y(, z); see `affineGrid`
 * @returns [batch, channels, ...out]
 * @throws when the grid does not fit `x`
 */
export function gridSample(x: TensorLike, grid: TensorLike, options: GridSampleOptions = {}): Tensor {
  const input = asTensor(x)
  const lattice = asTensor(grid, input.dtype)
  const { mode = 'linear', padding = 'zeros', alignCorners = false } = options
  const axes = input.rank - 2
  requireFloat('gridSample', input)
  if (axes !== 2 && axes !== 3)
    throw new Error(`gridSample: expected [batch, channels, (depth,) height, width], got ${formatShape(input.shape)}`)
  if (lattice.rank !== axes + 2 || lattice.shape[axes + 1] !== axes || lattice.shape[0] !== input.shape[0])
    throw new Error(
      `gridSample: a grid for ${formatShape(input.shape)} is [${formatShape(input.shape.slice(0, 1)).slice(1, -1)}, ${axes === 2 ? '' : 'depth, '}height, width, ${axes}], got ${formatShape(lattice.shape)}`,
    )
  const sizes = input.shape.slice(2)
  requireConcrete('gridSample', sizes)
  if (sizes.includes(0)) throw new Error(`gridSample: nothing to read in ${formatShape(input.shape)}`)
  const [batch, channels] = input.shape
  const out = lattice.shape.slice(1, -1)
  const points = reshape(lattice, [batch, sizeOf(out), axes])
  const taps = sizes.map((size, axis) => {
    // Coordinates count axes from the last one.
    const coordinate = points.at(null, null, axes - 1 - axis)
    const scaled = mul(add(coordinate, 1), (alignCorners ? size - 1 : size) / 2)
    const position = alignCorners ? scaled : sub(scaled, 0.5)
    return paddedNeighbours(position, size, mode, padding, alignCorners)
  })
  const rows = reshape(moveAxis(input, 1, input.rank - 1), [batch, sizeOf(sizes), channels])
  return reshape(swapAxes(interpolateRows(rows, sizes, taps), 1, 2), [batch, channels, ...out])
}

function paddedNeighbours(
  position: Tensor,
  size: number,
  mode: SampleMode,
  padding: SamplePadding,
  alignCorners: boolean,
): Tap[] {
  if (padding === 'zeros') return neighbours(position, size, mode)
  const wrap = (place: Tensor): Tensor =>
    padding === 'border' ? clip(place, 0, size - 1) : reflect(place, size, alignCorners)
  // The cubic kernel is laid over the padded signal; the others read at the padded position.
  return mode === 'cubic' ? neighbours(position, size, mode, wrap) : neighbours(wrap(position), size, mode)
}
