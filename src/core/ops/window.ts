import { formatShape, requireConcrete, type Shape } from '../shape.ts'

/** One number for every spatial axis, or one for each. */
export type PerAxis = number | readonly number[]

/** Border widths: one number for every side, one an axis, or `[before, after]` an axis. */
export type Padding = number | readonly (number | readonly [before: number, after: number])[]

export type Pair = readonly [before: number, after: number]

/** A window that slides over the spatial axes: what convolutions and pooling have in common. One entry an axis. */
export interface Window {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly pads: readonly Pair[]
  readonly dilations: readonly number[]
}

/** How a kernel moves over its input. One entry a spatial axis. */
export interface ConvolutionGeometry {
  readonly strides: readonly number[]
  readonly pads: readonly Pair[]
  readonly dilations: readonly number[]
  readonly groups: number
}

/** Reads a per-axis option. @throws when it has the wrong number of entries, or one below `least` or not whole */
export function perAxis(op: string, option: string, value: PerAxis, rank: number, least = 1): number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value]
  if (list.length !== rank) throw new Error(`${op}: ${option} [${list}] needs one entry for each of ${rank} axes`)
  if (list.some(entry => !Number.isInteger(entry) || entry < least))
    throw new Error(`${op}: ${option} must be whole numbers of at least ${least}, got [${list}]`)
  return list
}

/** Reads a padding option into `[before, after]` an axis. @throws when it has the wrong number of entries or a negative one */
export function paddingPairs(op: string, padding: Padding, rank: number): Pair[] {
  const list = typeof padding === 'number' ? new Array<number>(rank).fill(padding) : [...padding]
  if (list.length !== rank)
    throw new Error(`${op}: padding has ${list.length} entries; give one number, or one entry for each of ${rank} axes`)
  return list.map((entry): Pair => {
    const [before, after] = typeof entry === 'number' ? [entry, entry] : entry
    for (const side of [before, after])
      if (!Number.isInteger(side) || side < 0)
        throw new Error(`${op}: padding must be whole numbers of at least 0, got ${side}`)
    return [before, after]
  })
}

/** Elements from the first tap of a kernel to its last. */
export const span = (kernel: number, dilation: number): number => dilation * (kernel - 1) + 1

/** Window positions along one axis that lie wholly inside the padded input; below 1 when the kernel is too large. */
export const positions = (size: number, { kernel, strides, pads, dilations }: Window, axis: number): number =>
  Math.floor((size + pads[axis][0] + pads[axis][1] - span(kernel[axis], dilations[axis])) / strides[axis]) + 1

/**
 * Spatial sizes after a window has slid over `spatial`.
 * @throws when the kernel is larger than the padded input, naming the axis
 */
export function slide(op: string, shape: Shape, window: Window): number[] {
  const spatial = shape.slice(2)
  requireConcrete(
    op,
    shape,
    spatial.map((_, axis) => axis + 2),
  )
  return spatial.map((size, axis) => {
    const count = positions(size, window, axis)
    if (count < 1)
      throw new Error(
        `${op}: the kernel spans ${span(window.kernel[axis], window.dilations[axis])} along axis ${axis + 2} but the padded input has only ${size + window.pads[axis][0] + window.pads[axis][1]} (input ${formatShape(shape)}, padding [${window.pads[axis]}])`,
      )
    return count
  })
}

/** Every pair of an input position and a window position that a tap joins, as flat indices; taps on the border are left out. */
export interface Taps {
  readonly input: Int32Array
  readonly output: Int32Array
  readonly tap: Int32Array
}

/** The taps of a window over `input` sizes, ordered by output position, then tap: the loop of every float64 reference. */
export function tapsOf(input: readonly number[], output: readonly number[], window: Window): Taps {
  const { kernel, strides, pads, dilations } = window
  let found: [input: number, output: number, tap: number][] = [[0, 0, 0]]
  input.forEach((size, axis) => {
    const along: [number, number, number][] = []
    for (let o = 0; o < output[axis]; o++)
      for (let k = 0; k < kernel[axis]; k++) {
        const i = o * strides[axis] + k * dilations[axis] - pads[axis][0]
        if (i >= 0 && i < size) along.push([i, o, k])
      }
    found = found.flatMap(([i, o, k]) =>
      along.map(([ai, ao, ak]): [number, number, number] => [
        i * size + ai,
        o * output[axis] + ao,
        k * kernel[axis] + ak,
      ]),
    )
  })
  found.sort((a, b) => a[1] - b[1] || a[2] - b[2])
  return {
    input: Int32Array.from(found, entry => entry[0]),
    output: Int32Array.from(found, entry => entry[1]),
    tap: Int32Array.from(found, entry => entry[2]),
  }
}
