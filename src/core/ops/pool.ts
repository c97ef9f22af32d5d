import type { Primitive, Spec } from '../primitive.ts'
import { formatShape, requireConcrete, type Shape, sizeOf } from '../shape.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor, tensor } from '../tensor.ts'
import { abs, clip, greater, mul, pow, requireFloat, where } from './elementwise.ts'
import { gather } from './indexing.ts'
import { expandDims, moveAxis, pad, reshape } from './layout.ts'
import { matmul } from './matmul.ts'
import { lowerAveragePool, lowerAveragePoolGradient, lowerMaxPool, lowerWinners } from './pool-lowering.ts'
import { mean } from './reduce.ts'
import {
  type Padding,
  type Pair,
  type PerAxis,
  paddingPairs,
  perAxis,
  slide,
  span,
  tapsOf,
  type Window,
} from './window.ts'

export interface PoolOptions {
  /** Sizes of the window, in elements. */
  readonly kernel: PerAxis
  /** Step of the window, in elements; default: its size. */
  readonly stride?: PerAxis
  /** Border around the input, in elements; default 0. */
  readonly padding?: Padding
  /** Counts a last window that sticks out of the padded input, if it starts inside the input or the border before it. */
  readonly ceil?: boolean
}

export interface MaxPoolOptions extends PoolOptions {
  /** Distance between the elements of a window; default 1. */
  readonly dilation?: PerAxis
}

export interface AveragePoolOptions extends PoolOptions {
  /** Whether zeros of the border count as elements of their window; default true. */
  readonly countPadding?: boolean
}

function requireSpatial(op: string, x: Tensor): void {
  requireFloat(op, x)
  if (x.rank < 3 || x.rank > 5)
    throw new Error(
      `${op}: expected an input [batch, channels, spatial…] with 1 to 3 spatial axes, got ${formatShape(x.shape)}`,
    )
  requireConcrete(
    op,
    x.shape,
    x.shape.map((_, axis) => axis).filter(axis => axis !== 0),
  )
}

/**
 * Reads pooling options. In ceil mode the border after the input becomes what the last window needs.
 * @returns the window, and the border that was asked for
 */
function readWindow(op: string, x: Tensor, options: MaxPoolOptions): { window: Window; asked: Pair[] } {
  requireSpatial(op, x)
  const rank = x.rank - 2
  const kernel = perAxis(op, 'kernel', options.kernel, rank)
  const strides = perAxis(op, 'stride', options.stride ?? kernel, rank)
  const dilations = perAxis(op, 'dilation', options.dilation ?? 1, rank)
  const asked = paddingPairs(op, options.padding ?? 0, rank)
  const whole: Window = { kernel, strides, pads: asked, dilations }
  slide(op, x.shape, whole)
  if (!options.ceil) return { window: whole, asked }
  const pads = asked.map(([before, after], axis): Pair => {
    const size = x.shape[axis + 2]
    const extent = span(kernel[axis], dilations[axis])
    const last = Math.ceil((size + before + after - extent) / strides[axis]) * strides[axis]
    const start = last >= size + before ? last - strides[axis] : last
    return [before, Math.max(0, start + extent - size - before)]
  })
  return { window: { ...whole, pads }, asked }
}

/** ONNX allows no border as wide as the window; a wider one becomes part of the input. */
function padWide(x: Tensor, window: Window, value: number): { x: Tensor; window: Window } {
  if (window.pads.every((pair, axis) => pair[0] >= 0 && pair[1] >= 0 && Math.max(...pair) < window.kernel[axis]))
    return { x, window }
  const padded = pad(x, [[0, 0], [0, 0], ...window.pads], 'constant', value)
  return { x: padded, window: { ...window, pads: window.pads.map((): Pair => [0, 0]) } }
}

const pooledSpec = (op: string, x: Spec, window: Window): Spec => ({
  shape: [x.shape[0], x.shape[1], ...slide(op, x.shape, window)],
  dtype: x.dtype,
})

/** Calls `visit` for every element of every window of x [N, C, s…]: flat input offset, flat output offset. */
function forEachWindowElement(
  x: Shape,
  out: Shape,
  window: Window,
  visit: (input: number, output: number) => void,
): void {
  const { input, output } = tapsOf(x.slice(2), out.slice(2), window)
  const inputs = sizeOf(x.slice(2))
  const outputs = sizeOf(out.slice(2))
  for (let plane = 0; plane < x[0] * x[1]; plane++)
    for (let i = 0; i < input.length; i++) visit(plane * inputs + input[i], plane * outputs + output[i])
}

/** Flat offset of the first largest element of each window. */
function winnersOf(x: { shape: Shape; data: Float64Array }, out: Shape, window: Window): Float64Array {
  const winners = new Float64Array(sizeOf(out)).fill(-1)
  forEachWindowElement(x.shape, out, window, (i, o) => {
    if (winners[o] < 0 || x.data[i] > x.data[winners[o]]) winners[o] = i
  })
  return winners
}

const maxPoolPrimitive: Primitive<Window> = {
  name: 'maxPool',
  shape: ([x], window) => pooledSpec('maxPool', x, window),
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [x] = node.inputs
    // Not an output of the pooling itself: finding the winners takes ten times as long as finding the maxima.
    const winners = apply(winnersPrimitive, [x], node.attributes)
    return [apply(toWinnersPrimitive, [ct, winners], { shape: x.shape })]
  },
  lower: lowerMaxPool,
  evaluate: ([x], window, [out]) => winnersOf(x, out.shape, window).map(winner => x.data[winner]),
}

const winnersPrimitive: Primitive<Window> = {
  name: 'maxPoolWinners',
  shape: ([x], window) => ({ shape: pooledSpec('maxPool', x, window).shape, dtype: 'i64' }),
  lower: lowerWinners,
  evaluate: ([x], window, [out]) => winnersOf(x, out.shape, window),
}

/** Adds each element to the place of its winner in a tensor of `shape`. */
const toWinnersPrimitive: Primitive<{ readonly shape: Shape }> = {
  name: 'toWinners',
  shape: ([ct], { shape }) => ({ shape, dtype: ct.dtype }),
  vjp: (node, [ct]) => [ct && apply(fromWinnersPrimitive, [ct, node.inputs[1]], {})],
  lower: (to, [ct, winners], node) => {
    const [{ dtype }] = node.inputs
    const { shape } = node.attributes
    const flat = to.ints([-1])
    const places = to.emit('Reshape', [winners, flat])
    const zeros = to.emit('Expand', [to.scalar(0, dtype), to.shape([sizeOf(shape)])])
    const added = to.emit('ScatterElements', [zeros, places, to.emit('Reshape', [ct, flat])], {
      axis: { int: 0 },
      reduction: { string: 'add' },
    })
    return to.emit('Reshape', [added, to.shape(shape)], { allowzero: { int: 1 } })
  },
  evaluate: ([ct, winners], _, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    winners.data.forEach((winner, i) => {
      result[winner] += ct.data[i]
    })
    return result
  },
}

/** Takes the element at the place of each winner. */
const fromWinnersPrimitive: Primitive = {
  name: 'fromWinners',
  shape: ([x, winners]) => ({ shape: winners.shape, dtype: x.dtype }),
  vjp: (node, [ct]) => [ct && apply(toWinnersPrimitive, [ct, node.inputs[1]], { shape: node.inputs[0].shape })],
  lower: (to, [x, winners]) =>
    to.emit('Gather', [to.emit('Reshape', [x, to.ints([-1])]), winners], { axis: { int: 0 } }),
  evaluate: ([x, winners]) => winners.data.map(winner => x.data[winner]),
}

/**
 * Largest element of each window; the border counts as minus infinity. The gradient goes to the first of equal maxima in
 * row-major order.
 * @param x [batch, channels, spatial…]
 * @returns [batch, channels, floor((size + padding - dilation (kernel-1) - 1) / stride) + 1 …], `ceil` for `floor` if asked
 * @throws when the window is larger than the padded input, or one holds nothing but border
 */
export function maxPool(x: TensorLike, options: MaxPoolOptions): Tensor {
  const input = asTensor(x)
  const { window } = readWindow('maxPool', input, options)
  requireElements('maxPool', input, window)
  const ready = padWide(input, window, Number.NEGATIVE_INFINITY)
  return apply(maxPoolPrimitive, [ready.x], ready.window)
}

/** Number of input elements that each window position sees along one axis. */
function elementsSeen(size: number, window: Window, axis: number, border: Pair = [0, 0]): number[] {
  const { kernel, strides, pads, dilations } = window
  const count =
    Math.floor((size + pads[axis][0] + pads[axis][1] - span(kernel[axis], dilations[axis])) / strides[axis]) + 1
  return Array.from({ length: count }, (_, o) => {
    let seen = 0
    for (let k = 0; k < kernel[axis]; k++) {
      const i = o * strides[axis] + k * dilations[axis] - pads[axis][0]
      if (i >= -border[0] && i < size + border[1]) seen++
    }
    return seen
  })
}

function requireElements(op: string, x: Tensor, window: Window): void {
  x.shape.slice(2).forEach((size, axis) => {
    if (elementsSeen(size, window, axis).includes(0))
      throw new Error(
        `${op}: padding [${window.pads[axis]}] leaves a window of [${window.kernel}] without any element along axis ${axis + 2} of ${formatShape(x.shape)}`,
      )
  })
}

/** Every window's sum divided by the window's size, whatever part of it lies on the border. */
const averagePoolPrimitive: Primitive<Window> = {
  name: 'averagePool',
  shape: ([x], window) => pooledSpec('averagePool', x, window),
  vjp: (node, [ct]) => [
    ct && apply(averagePoolGradientPrimitive, [ct], { ...node.attributes, size: node.inputs[0].shape.slice(2) }),
  ],
  lower: lowerAveragePool,
  evaluate: ([x], window, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    const share = 1 / sizeOf(window.kernel)
    forEachWindowElement(x.shape, out.shape, window, (i, o) => {
      result[o] += x.data[i] * share
    })
    return result
  },
}

/** The adjoint of average pooling: each element spread evenly over its window in a tensor with spatial sizes `size`. */
const averagePoolGradientPrimitive: Primitive<Window & { readonly size: readonly number[] }> = {
  name: 'averagePoolGradient',
  shape: ([ct], { size }) => ({ shape: [ct.shape[0], ct.shape[1], ...size], dtype: ct.dtype }),
  vjp: (node, [ct]) => {
    const { size: _, ...window } = node.attributes
    return [ct && apply(averagePoolPrimitive, [ct], window)]
  },
  lower: lowerAveragePoolGradient,
  evaluate: ([ct], window, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    const share = 1 / sizeOf(window.kernel)
    forEachWindowElement(out.shape, ct.shape, window, (i, o) => {
      result[i] += ct.data[o] * share
    })
    return result
  },
}

/**
 * Mean of each window.
 * @param x [batch, channels, spatial…]
 * @returns [batch, channels, floor((size + padding - kernel) / stride) + 1 …], `ceil` for `floor` if asked
 * @throws when the window is larger than the padded input, or one holds nothing but border that does not count
 */
export function averagePool(x: TensorLike, options: AveragePoolOptions): Tensor {
  const input = asTensor(x)
  const { window, asked } = readWindow('averagePool', input, options)
  const { countPadding = true } = options
  if (!countPadding) requireElements('averagePool', input, window)
  const ready = padWide(input, window, 0)
  const pooled = apply(averagePoolPrimitive, [ready.x], ready.window)
  // A window that sticks out in ceil mode counts the border that was asked for, not what ceil mode added to it.
  return input.shape.slice(2).reduce<Tensor>((scaled, size, axis) => {
    const whole = window.kernel[axis]
    const counted = elementsSeen(size, window, axis, countPadding ? asked[axis] : [0, 0])
    if (counted.every(count => count === whole)) return scaled
    const factors = Float32Array.from(counted, count => whole / count)
    const shape = input.shape.map((_, i) => (i === axis + 2 ? factors.length : 1))
    return mul(scaled, tensor(factors, shape.slice(axis + 2)))
  }, pooled)
}

/** Bounds of the windows that divide `size` elements into `count`: from floor(i size/count) to ceil((i+1) size/count). */
const adaptiveWindows = (size: number, count: number): Pair[] =>
  Array.from({ length: count }, (_, i): Pair => [Math.floor((i * size) / count), Math.ceil(((i + 1) * size) / count)])

function readAdaptive(op: string, x: Tensor, size: PerAxis): { sizes: number[]; even: number[] | undefined } {
  requireSpatial(op, x)
  const spatial = x.shape.slice(2)
  if (spatial.includes(0)) throw new Error(`${op}: nothing to pool in ${formatShape(x.shape)}`)
  const sizes = perAxis(op, 'size', size, spatial.length)
  const divides = sizes.every((count, axis) => spatial[axis] % count === 0)
  return { sizes, even: divides ? sizes.map((count, axis) => spatial[axis] / count) : undefined }
}

/**
 * Means of `size` windows an axis that cover the input as evenly as whole elements allow:
 * window i goes from floor(i s/size) to ceil((i+1) s/size).
 * @param size one number, or one a spatial axis
 */
export function adaptiveAveragePool(x: TensorLike, size: PerAxis): Tensor {
  const input = asTensor(x)
  const { sizes, even } = readAdaptive('adaptiveAveragePool', input, size)
  if (even) return averagePool(input, { kernel: even })
  return sizes.reduce<Tensor>((pooled, count, i) => {
    const axis = i + 2
    const windows = adaptiveWindows(pooled.shape[axis], count)
    const weights = new Float32Array(pooled.shape[axis] * count)
    windows.forEach(([start, end], o) => {
      for (let s = start; s < end; s++) weights[s * count + o] = 1 / (end - start)
    })
    const matrix = tensor(weights, [pooled.shape[axis], count])
    return moveAxis(matmul(moveAxis(pooled, axis, -1), matrix), -1, axis)
  }, input)
}

/**
 * Maxima of `size` windows an axis that cover the input as evenly as whole elements allow (see {@link adaptiveAveragePool}).
 * The gradient goes to the first of equal maxima.
 * @param size one number, or one a spatial axis
 */
export function adaptiveMaxPool(x: TensorLike, size: PerAxis): Tensor {
  const input = asTensor(x)
  const { sizes, even } = readAdaptive('adaptiveMaxPool', input, size)
  if (even) return maxPool(input, { kernel: even })
  const windows = sizes.map((count, i) => adaptiveWindows(input.shape[i + 2], count))
  const longest = windows.map(list => Math.max(...list.map(([start, end]) => end - start)))
  // Shorter windows repeat their last element, which then never comes first.
  const spread = windows.reduce<Tensor>((taken, list, i) => {
    const places = list.flatMap(([start, end]) =>
      Array.from({ length: longest[i] }, (_, k) => Math.min(start + k, end - 1)),
    )
    return gather(taken, places, i + 2)
  }, input)
  return maxPool(spread, { kernel: longest })
}

const spatialAxes = (x: Tensor): number[] => x.shape.map((_, axis) => axis).slice(2)

/** Keeps the spatial axes of a global pooling with size 1, or drops them. */
const settle = (pooled: Tensor, keep: boolean): Tensor => (keep ? pooled : reshape(pooled, pooled.shape.slice(0, 2)))

/** Mean over all spatial axes: [batch, channels, spatial…] -> [batch, channels], or with `keep` axes of size 1. */
export function globalAveragePool(x: TensorLike, keep = false): Tensor {
  const input = asTensor(x)
  requireSpatial('globalAveragePool', input)
  return mean(input, spatialAxes(input), keep)
}

/** Largest element over all spatial axes (the gradient goes to the first): [batch, channels, spatial…] -> [batch, channels]. */
export const globalMaxPool = (x: TensorLike, keep = false): Tensor => settle(adaptiveMaxPool(x, 1), keep)

/**
 * Power-average pooling, (sum over the window of |x|^p)^(1/p). A window cut off by ceil mode is scaled up to a whole one.
 * @param p exponent, above 0; 1 gives sums, large values come near to maxima
 * @throws when p is not above 0
 */
export function lpPool(x: TensorLike, p: number, options: Pick<PoolOptions, 'kernel' | 'stride' | 'ceil'>): Tensor {
  if (!(p > 0)) throw new Error(`lpPool: the exponent must be above 0, got ${p}`)
  const input = asTensor(x)
  const { kernel } = readWindow('lpPool', input, options).window
  const { stride, ceil } = options
  const total = mul(averagePool(pow(abs(input), p), { kernel, stride, ceil }), sizeOf(kernel))
  // Where everything is 0 the root has no slope to give; the gradient there is 0.
  const positive = greater(total, 0)
  return where(positive, pow(where(positive, total, 1), 1 / p), 0)
}

/**
 * Generalised mean over all spatial axes, (mean of max(x, epsilon)^p)^(1/p) (GeM, Radenovic et al. 2018): p = 1 is the mean,
 * large p comes near to the maximum.
 * @param x [batch, channels, spatial…]
 * @param p exponent: a number, or a tensor (which may be learnt) of one element or one a channel
 * @param options.epsilon least value that enters; default 1e-6
 * @param options.keep keeps the spatial axes with size 1; default false
 * @returns [batch, channels]
 */
export function generalizedMeanPool(x: TensorLike, p: TensorLike = 3, { epsilon = 1e-6, keep = false } = {}): Tensor {
  const input = asTensor(x)
  requireSpatial('generalizedMeanPool', input)
  const power = asTensor(p, input.dtype)
  if (power.size !== 1 && (power.rank !== 1 || power.shape[0] !== input.shape[1]))
    throw new Error(
      `generalizedMeanPool: p must hold one number or one for each of ${input.shape[1]} channels, got ${formatShape(power.shape)}`,
    )
  const axes = spatialAxes(input)
  const exponent =
    power.size === 1
      ? reshape(power, [])
      : expandDims(
          power,
          axes.map(axis => axis - 1),
        )
  const pooled = mean(pow(clip(input, epsilon), exponent), axes, true)
  return settle(pow(pooled, asTensor(1, input.dtype).div(exponent)), keep)
}
