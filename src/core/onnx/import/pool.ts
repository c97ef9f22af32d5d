import {
  abs,
  add,
  argMax,
  at,
  averagePool,
  broadcastTo,
  cast,
  expandDims,
  globalAveragePool,
  globalMaxPool,
  type Index,
  maxPool,
  mul,
  pad,
  pow,
  squeeze,
  stack,
  sum,
  takeAlongAxis,
} from '../../ops/index.ts'
import { type Pair, positions, span } from '../../ops/window.ts'
import { formatShape, requireConcrete, sizeOf, stridesOf } from '../../shape.ts'
import { constant, type Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'
import { type Sliding, slidingOf } from './window.ts'

function spatialOf(x: Tensor): readonly number[] {
  if (x.rank < 3) throw new Error(`its input is ${formatShape(x.shape)}, expected [batch, channels, spatial…]`)
  return x.shape.slice(2)
}

function maxPooling(node: NodeReader): (Tensor | undefined)[] {
  const given = node.input(0)
  const x = given.dtype === 'u8' ? cast(given, 'f32') : given
  const sliding = slidingOf(node, spatialOf(x))
  const ceil = node.flag('ceil_mode')
  const { kernel, stride, dilation, padding } = sliding
  const y = cast(maxPool(x, { kernel, stride, dilation, padding, ceil }), given.dtype)
  return [y, node.wants(1) ? winners(x, sliding, y.shape.slice(2), node.flag('storage_order')) : undefined]
}

const MAX_TAPS = 1024

/**
 * Where the maxima stand: offsets into the whole input, row-major, or column-major over the last two axes.
 * The first of equal maxima is named.
 */
function winners(x: Tensor, sliding: Sliding, out: readonly number[], columnMajor: boolean): Tensor {
  const { kernel, stride, dilation, padding } = sliding
  const spatial = x.shape.slice(2)
  requireConcrete('indices of MaxPool', x.shape)
  const taps = sizeOf(kernel)
  if (taps > MAX_TAPS) throw new Error(`indices of a window of ${taps} elements are not supported`)
  // Each tap sees a strided copy of the input; enough border after it for every window.
  const needed = out.map((count, axis) => (count - 1) * stride[axis] + span(kernel[axis], dilation[axis]))
  const widths = spatial.map((size, axis): Pair => [padding[axis][0], needed[axis] - padding[axis][0] - size])
  const bordered = pad(x, [[0, 0], [0, 0], ...widths], 'constant', Number.NEGATIVE_INFINITY)
  const tapOf = (tap: number): number[] => {
    const strides = stridesOf(kernel)
    return kernel.map((size, axis) => Math.floor(tap / strides[axis]) % size)
  }
  const seen = Array.from({ length: taps }, (_, tap) => {
    const steps = tapOf(tap)
    const indices = out.map((count, axis): Index => {
      const first = steps[axis] * dilation[axis]
      return [first, first + (count - 1) * stride[axis] + 1, stride[axis]]
    })
    return at(bordered, null, null, ...indices)
  })
  const chosen = argMax(stack(seen), 0)
  const places = constant(placesOf(sliding, spatial, out, columnMajor, tapOf), [taps, 1, 1, ...out])
  const shape = [...x.shape.slice(0, 2), ...out]
  const within = squeeze(takeAlongAxis(broadcastTo(places, [taps, ...shape]), expandDims(chosen, 0), 0), 0)
  const planes = BigInt64Array.from({ length: x.shape[0] * x.shape[1] }, (_, i) => BigInt(i * sizeOf(spatial)))
  return add(within, constant(planes, [x.shape[0], x.shape[1], ...out.map(() => 1)]))
}

/** Offset within its plane of the element that each tap of each window reads. */
function placesOf(
  { stride, dilation, padding, kernel }: Sliding,
  spatial: readonly number[],
  out: readonly number[],
  columnMajor: boolean,
  tapOf: (tap: number) => number[],
): BigInt64Array {
  const strides = columnMajor ? spatial.map((_, axis) => sizeOf(spatial.slice(0, axis))) : stridesOf(spatial)
  const outStrides = stridesOf(out)
  const windows = sizeOf(out)
  return BigInt64Array.from({ length: sizeOf(kernel) * windows }, (_, i) => {
    const tap = tapOf(Math.floor(i / windows))
    return BigInt(
      out.reduce((offset, count, axis) => {
        const window = Math.floor((i % windows) / outStrides[axis]) % count
        return offset + (window * stride[axis] - padding[axis][0] + tap[axis] * dilation[axis]) * strides[axis]
      }, 0),
    )
  })
}

function requireUndilated({ dilation }: Sliding): void {
  if (dilation.some(step => step !== 1)) throw new Error(`dilations [${dilation}] are not supported`)
}

function averagePooling(node: NodeReader): Tensor {
  const x = node.input(0)
  const sliding = slidingOf(node, spatialOf(x))
  requireUndilated(sliding)
  const { kernel, stride, padding } = sliding
  const countPadding = node.flag('count_include_pad')
  return averagePool(x, { kernel, stride, padding, ceil: node.flag('ceil_mode'), countPadding })
}

/** (sum of |x|^p over each window)^(1/p); the border counts as 0. */
function powerPooling(node: NodeReader): Tensor {
  const x = node.input(0)
  const sliding = slidingOf(node, spatialOf(x))
  requireUndilated(sliding)
  if (node.flag('ceil_mode')) throw new Error('ceil_mode is not supported')
  const { kernel, stride, padding } = sliding
  const window = { kernel, strides: stride, pads: padding, dilations: kernel.map(() => 1) }
  if (kernel.some((_, axis) => positions(x.shape[axis + 2], window, axis) < 1))
    throw new Error(`a window of [${kernel}] is larger than ${formatShape(x.shape)}`)
  const p = node.int('p', 2)
  const means = averagePool(pow(abs(x), p), { kernel, stride, padding, countPadding: true })
  return pow(mul(means, sizeOf(kernel)), 1 / p)
}

function globalPower(node: NodeReader): Tensor {
  const x = node.input(0)
  const p = node.int('p', 2)
  return pow(
    sum(
      pow(abs(x), p),
      spatialOf(x).map((_, axis) => axis + 2),
      true,
    ),
    1 / p,
  )
}

export const poolReaders: OperatorReaders = {
  AveragePool: averagePooling,
  GlobalAveragePool: node => globalAveragePool(node.input(0), true),
  GlobalLpPool: globalPower,
  GlobalMaxPool: node => globalMaxPool(node.input(0), true),
  LpPool: powerPooling,
  MaxPool: maxPooling,
}
