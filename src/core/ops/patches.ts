import { customGradient } from '../autodiff.ts'
import { rearrange } from '../einops.ts'
import { formatShape, requireConcrete, sizeOf } from '../shape.ts'
import { asTensor, constant, type Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import { convTranspose } from './conv.ts'
import { add } from './elementwise.ts'
import { at, type Index, pad, reshape, stack, transpose } from './layout.ts'
import { type Padding, type PerAxis, paddingPairs, perAxis, slide, span, type Window } from './window.ts'

export interface PatchOptions {
  /** Steps between patches; default 1. */
  readonly stride?: PerAxis
  /** Zeros around the input; default 0. */
  readonly padding?: Padding
  /** Steps between the elements of a patch; default 1. */
  readonly dilation?: PerAxis
}

function readWindow(op: string, kernel: PerAxis, options: PatchOptions, rank: number): Window {
  return {
    kernel: perAxis(op, 'kernel', kernel, rank),
    strides: perAxis(op, 'stride', options.stride ?? 1, rank),
    pads: paddingPairs(op, options.padding ?? 0, rank),
    dilations: perAxis(op, 'dilation', options.dilation ?? 1, rank),
  }
}

/** Whether patches lie edge to edge and cover everything: then they are a reordering. */
const tiles = ({ kernel, strides, pads, dilations }: Window, spatial: readonly number[]): boolean =>
  kernel.every((size, axis) => size === strides[axis] && spatial[axis] % size === 0 && dilations[axis] === 1) &&
  pads.every(([before, after]) => before === 0 && after === 0)

/** Indices of every tap of a kernel, row-major. */
function tapsOfKernel(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (taps, size) => taps.flatMap(tap => Array.from({ length: size }, (_, k) => [...tap, k])),
    [[]],
  )
}

/** Splits each axis into (patch, element in the patch) and puts the elements of a patch after the channels, or undoes it. */
function tileOrder(rank: number): { spread: number[]; gather: number[] } {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  // Spread: batch, channel, (patch, element) per axis. Gathered: batch, channel, elements, patches.
  return {
    spread: [0, 1, ...axes.flatMap(axis => [2 + rank + axis, 2 + axis])],
    gather: [0, 1, ...axes.map(axis => 3 + 2 * axis), ...axes.map(axis => 2 + 2 * axis)],
  }
}

/**
 * Sliding patches as columns: out[b, (c, tap), p] = x[b, c, p stride - padding + tap dilation], patches and taps in
 * row-major order (PyTorch's `unfold`, also known as im2col).
 * @param x [batch, channels, ...spatial], one to three spatial axes
 * @param kernel size of a patch along each spatial axis
 * @returns [batch, channels taps, patches]
 * @throws when the kernel is larger than the padded input
 */
export function unfold(x: TensorLike, kernel: PerAxis, options: PatchOptions = {}): Tensor {
  const input = asTensor(x)
  const rank = input.rank - 2
  if (rank < 1) throw new Error(`unfold: expected [batch, channels, ...spatial], got ${formatShape(input.shape)}`)
  requireConcrete(
    'unfold',
    input.shape,
    input.shape.map((_, axis) => axis).filter(axis => axis > 0),
  )
  const window = readWindow('unfold', kernel, options, rank)
  const out = slide('unfold', input.shape, window)
  return cutPatches(input, window, out)
}

/** Each of the two is the other's gradient: differentiating slice by slice would cost a pass over everything a tap. */
const cutPatches = (x: Tensor, window: Window, out: readonly number[]): Tensor =>
  customGradient(
    input => patchColumns(input, window, out),
    ct => [addPatches(ct, x.shape.slice(2), window, out)],
  )(x)

const addPatches = (columns: Tensor, size: readonly number[], window: Window, out: readonly number[]): Tensor =>
  customGradient(
    input => summedPatches(input, size, window, out),
    ct => [cutPatches(ct, window, out)],
  )(columns)

function patchColumns(x: Tensor, window: Window, out: readonly number[]): Tensor {
  const [batch, channels, ...spatial] = x.shape
  const { kernel, strides, dilations, pads } = window
  const columns = [batch, channels * sizeOf(kernel), sizeOf(out)]
  if (tiles(window, spatial)) {
    const split = reshape(x, [batch, channels, ...out.flatMap((count, axis) => [count, kernel[axis]])])
    return reshape(transpose(split, tileOrder(spatial.length).gather), columns)
  }
  const padded = pad(x, [[0, 0], [0, 0], ...pads])
  const seen = tapsOfKernel(kernel).map(tap =>
    at(
      padded,
      null,
      null,
      ...tap.map((k, axis): Index => {
        const start = k * dilations[axis]
        return [start, start + (out[axis] - 1) * strides[axis] + 1, strides[axis]]
      }),
    ),
  )
  return reshape(stack(seen, 2), columns)
}

/**
 * Adds overlapping patches back into place: the adjoint of {@link unfold} (PyTorch's `fold`, also known as col2im).
 * @param columns [batch, channels taps, patches], as `unfold` gives them
 * @param size sizes of the spatial axes of the result
 * @param kernel size of a patch along each of them
 * @returns [batch, channels, ...size]
 * @throws when `columns` does not have the rows and patches that size and kernel ask for
 */
export function fold(
  columns: TensorLike,
  size: readonly number[],
  kernel: PerAxis,
  options: PatchOptions = {},
): Tensor {
  const input = asTensor(columns)
  const rank = size.length
  const window = readWindow('fold', kernel, options, rank)
  const out = slide('fold', [1, 1, ...size], window)
  const taps = sizeOf(window.kernel)
  if (input.rank !== 3 || input.shape[1] % taps !== 0 || input.shape[2] !== sizeOf(out))
    throw new Error(
      `fold: size [${size}] under kernel [${window.kernel}] takes [batch, a multiple of ${taps}, ${sizeOf(out)}], got ${formatShape(input.shape)}`,
    )
  return addPatches(input, size, window, out)
}

function summedPatches(columns: Tensor, size: readonly number[], window: Window, out: readonly number[]): Tensor {
  const { kernel, strides, pads, dilations } = window
  const [batch, rows] = columns.shape
  const taps = sizeOf(kernel)
  const channels = rows / taps
  if (tiles(window, size)) {
    const apart = reshape(columns, [batch, channels, ...kernel, ...out])
    return reshape(transpose(apart, tileOrder(size.length).spread), [batch, channels, ...size])
  }
  if (strides.some(stride => stride > 1)) return transposedOneHot(columns, size, window, out)
  const apart = reshape(columns, [batch, channels, taps, ...out])
  return tapsOfKernel(kernel)
    .map((tap, k) => {
      const widths = tap.map((step, axis): [number, number] => {
        const before = step * dilations[axis] - pads[axis][0]
        return [before, size[axis] - before - out[axis]]
      })
      // Cropping to the tap and bordering it is one pass over memory.
      const placed = pad(apart, [[0, 0], [0, 0], [-k, k + 1 - taps], ...widths])
      return reshape(placed, [batch, channels, ...size])
    })
    .reduce((sum, part) => add(sum, part))
}

/** The same as a transposed convolution in which row (c, tap) has a kernel that is 1 at its tap: no zeros to spread by hand. */
function transposedOneHot(columns: Tensor, size: readonly number[], window: Window, out: readonly number[]): Tensor {
  const { kernel, strides, pads, dilations } = window
  const [batch, rows] = columns.shape
  const taps = sizeOf(kernel)
  const oneHot = new Float32Array(rows * taps)
  for (let row = 0; row < rows; row++) oneHot[row * taps + (row % taps)] = 1
  const reached = out.map(
    (count, axis) => (count - 1) * strides[axis] + span(kernel[axis], dilations[axis]) - pads[axis][0] - pads[axis][1],
  )
  return convTranspose(
    reshape(columns, [batch, rows, ...out]),
    cast(constant(oneHot, [rows, 1, ...kernel]), columns.dtype),
    {
      stride: strides,
      padding: pads,
      dilation: dilations,
      groups: rows / taps,
      outputPadding: size.map((dim, axis) => dim - reached[axis]),
    },
  )
}

/**
 * Channels become pixels: [batch, channels r r, height, width] -> [batch, channels, height r, width r]
 * (Shi et al. 2016, sub-pixel convolution; PyTorch's `pixel_shuffle`).
 * @param factor r
 * @throws when the channels do not divide by r r
 */
export function pixelShuffle(x: TensorLike, factor: number): Tensor {
  const input = asTensor(x)
  requirePixels('pixelShuffle', input, factor)
  if (input.shape[1] % (factor * factor) !== 0)
    throw new Error(
      `pixelShuffle: ${input.shape[1]} channels of ${formatShape(input.shape)} do not divide by ${factor} x ${factor}`,
    )
  return rearrange(input, 'b (c r s) h w -> b c (h r) (w s)', { r: factor, s: factor })
}

/**
 * Pixels become channels: [batch, channels, height r, width r] -> [batch, channels r r, height, width], the inverse of
 * {@link pixelShuffle}.
 * @throws when height or width does not divide by r
 */
export function pixelUnshuffle(x: TensorLike, factor: number): Tensor {
  const input = asTensor(x)
  requirePixels('pixelUnshuffle', input, factor)
  if (input.shape[2] % factor !== 0 || input.shape[3] % factor !== 0)
    throw new Error(`pixelUnshuffle: height and width of ${formatShape(input.shape)} do not divide by ${factor}`)
  return rearrange(input, 'b c (h r) (w s) -> b (c r s) h w', { r: factor, s: factor })
}

function requirePixels(op: string, x: Tensor, factor: number): void {
  if (x.rank !== 4) throw new Error(`${op}: expected [batch, channels, height, width], got ${formatShape(x.shape)}`)
  if (!Number.isInteger(factor) || factor < 1)
    throw new Error(`${op}: the factor must be a whole number of at least 1, got ${factor}`)
}
