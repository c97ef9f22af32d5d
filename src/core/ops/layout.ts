import type { Primitive } from '../primitive.ts'
import type { Shape } from '../shape.ts'
import {
  broadcastShapes,
  broadcastStrides,
  forEachOffset,
  formatShape,
  normalizeAxes,
  normalizeAxis,
  requireConcrete,
  sameShape,
  sizeOf,
  stridesOf,
} from '../shape.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor } from '../tensor.ts'
import { sum } from './reduce.ts'

const identityPermutation = (permutation: readonly number[]): boolean => permutation.every((axis, i) => axis === i)

const reshapePrimitive: Primitive<{ readonly shape: Shape }> = {
  name: 'reshape',
  shape: ([x], { shape }) => {
    if (sizeOf(x.shape) !== sizeOf(shape))
      throw new Error(
        `reshape: ${formatShape(x.shape)} has ${sizeOf(x.shape)} elements and cannot become ${formatShape(shape)} with ${sizeOf(shape)}`,
      )
    return { shape, dtype: x.dtype }
  },
  vjp: (node, [ct]) => [ct && reshape(ct, node.inputs[0].shape)],
  lower: (to, [x], node) => {
    const target = node.attributes.shape
    // One symbolic axis can be left to Reshape to work out; a zero there would mean "copy", so empty tensors spell it out.
    return to.emit('Reshape', [x, to.ints(target.map(dim => (dim < 0 ? -1 : dim)))], { allowzero: { int: 1 } })
  },
  evaluate: ([x]) => x.data.slice(),
  rewrite: node => {
    const [x] = node.inputs
    if (sameShape(x.shape, node.attributes.shape)) return x
    if (x.node.primitive.name === 'reshape') return reshape(x.node.inputs[0], node.attributes.shape)
    return undefined
  },
}

/**
 * The same elements in row-major order under another shape.
 * @param shape target sizes; one may be `'auto'`-like -1 when no batch is symbolic: it takes what is left
 * @throws when the numbers of elements differ
 */
export function reshape(x: TensorLike, shape: Shape): Tensor {
  const input = asTensor(x)
  return sameShape(input.shape, shape)
    ? input
    : apply(reshapePrimitive, [input], { shape: inferAuto(input.shape, shape) })
}

/** A -1 in a target shape is the symbolic batch when the input has one, and otherwise the one size to infer. */
function inferAuto(from: Shape, to: Shape): Shape {
  if (sizeOf(from) < 0 || !to.includes(-1)) return to
  const known = to.filter(dim => dim !== -1)
  if (known.length !== to.length - 1) throw new Error(`reshape: at most one size can be -1, got ${formatShape(to)}`)
  const rest = sizeOf(known)
  if (rest === 0 || sizeOf(from) % rest !== 0)
    throw new Error(`reshape: ${formatShape(from)} has ${sizeOf(from)} elements, which [${to}] cannot divide`)
  return to.map(dim => (dim === -1 ? sizeOf(from) / rest : dim))
}

const transposePrimitive: Primitive<{ readonly permutation: readonly number[] }> = {
  name: 'transpose',
  shape: ([x], { permutation }) => ({ shape: permutation.map(axis => x.shape[axis]), dtype: x.dtype }),
  vjp: (node, [ct]) => {
    const inverse: number[] = []
    node.attributes.permutation.forEach((axis, i) => {
      inverse[axis] = i
    })
    return [ct && transpose(ct, inverse)]
  },
  lower: (to, [x], node) => to.emit('Transpose', [x], { perm: { ints: node.attributes.permutation } }),
  evaluate: ([x], { permutation }, [out]) => {
    const strides = stridesOf(x.shape)
    const result = new Float64Array(x.data.length)
    forEachOffset(out.shape, [permutation.map(axis => strides[axis])], ([i], k) => {
      result[k] = x.data[i]
    })
    return result
  },
  rewrite: node => {
    const [x] = node.inputs
    const { permutation } = node.attributes
    if (identityPermutation(permutation)) return x
    if (x.node.primitive.name === 'transpose') {
      const inner = (x.node.attributes as { permutation: readonly number[] }).permutation
      return transpose(
        x.node.inputs[0],
        permutation.map(axis => inner[axis]),
      )
    }
    // Moving only axes of size 1 reorders nothing in memory.
    const moved = permutation.filter(axis => x.shape[axis] !== 1)
    return moved.every((axis, i) => i === 0 || axis > moved[i - 1]) ? reshape(x, node.outputs[0].shape) : undefined
  },
}

/**
 * Reorders axes.
 * @param permutation output axis i is input axis `permutation[i]`; default: all axes reversed
 */
export function transpose(x: TensorLike, permutation?: readonly number[]): Tensor {
  const input = asTensor(x)
  const axes = (permutation ?? input.shape.map((_, i) => -1 - i)).map(axis =>
    normalizeAxis('transpose', axis, input.rank),
  )
  if (axes.length !== input.rank || new Set(axes).size !== axes.length)
    throw new Error(
      `transpose: [${axes}] is not a permutation of the ${input.rank} axes of ${formatShape(input.shape)}`,
    )
  return identityPermutation(axes) ? input : apply(transposePrimitive, [input], { permutation: axes })
}

/** Exchanges two axes. */
export function swapAxes(x: TensorLike, a: number, b: number): Tensor {
  const input = asTensor(x)
  const axes = input.shape.map((_, axis) => axis)
  const first = normalizeAxis('swapAxes', a, input.rank)
  const second = normalizeAxis('swapAxes', b, input.rank)
  axes[first] = second
  axes[second] = first
  return transpose(input, axes)
}

/** Moves one axis to another place, the others keeping their order. */
export function moveAxis(x: TensorLike, from: number, to: number): Tensor {
  const input = asTensor(x)
  const source = normalizeAxis('moveAxis', from, input.rank)
  const axes = input.shape.map((_, axis) => axis).filter(axis => axis !== source)
  axes.splice(normalizeAxis('moveAxis', to, input.rank), 0, source)
  return transpose(input, axes)
}

const broadcastPrimitive: Primitive<{ readonly shape: Shape }> = {
  name: 'broadcastTo',
  shape: ([x], { shape }) => {
    if (!sameShape(broadcastShapes('broadcastTo', x.shape, shape), shape))
      throw new Error(`broadcastTo: ${formatShape(x.shape)} does not stretch to ${formatShape(shape)}`)
    return { shape, dtype: x.dtype }
  },
  vjp: (node, [ct]) => [ct && sumTo(ct, node.inputs[0].shape)],
  lower: (to, [x], node) => to.emit('Expand', [x, to.shape(node.attributes.shape)]),
  evaluate: ([x], _, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    forEachOffset(out.shape, [broadcastStrides(x.shape, out.shape)], ([i], k) => {
      result[k] = x.data[i]
    })
    return result
  },
  rewrite: node => {
    const [x] = node.inputs
    if (sameShape(x.shape, node.attributes.shape)) return x
    return x.node.primitive.name === 'broadcastTo' ? broadcastTo(x.node.inputs[0], node.attributes.shape) : undefined
  },
}

/** Repeats size-1 (and missing leading) axes until the tensor has `shape`. */
export function broadcastTo(x: TensorLike, shape: Shape): Tensor {
  const input = asTensor(x)
  return sameShape(input.shape, shape) ? input : apply(broadcastPrimitive, [input], { shape })
}

/** Sums a tensor back to the `shape` it was broadcast from. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x
  const lead = x.rank - shape.length
  const axes = x.shape
    .map((_, axis) => axis)
    .filter(axis => axis < lead || (shape[axis - lead] === 1 && x.shape[axis] !== 1))
  const summed = axes.length ? sum(x, axes, true) : x
  return reshape(summed, shape)
}

/** A tensor of `shape` holding `value` everywhere. */
export function full(shape: Shape, value: number, dtype: Tensor['dtype'] = 'f32'): Tensor {
  return broadcastTo(asTensor(value, dtype), shape)
}
export const zeros = (shape: Shape, dtype: Tensor['dtype'] = 'f32'): Tensor => full(shape, 0, dtype)
export const ones = (shape: Shape, dtype: Tensor['dtype'] = 'f32'): Tensor => full(shape, 1, dtype)
export const zerosLike = (x: Tensor): Tensor => zeros(x.shape, x.dtype)
export const onesLike = (x: Tensor): Tensor => ones(x.shape, x.dtype)

/** Inserts axes of size 1 at these positions of the result. */
export function expandDims(x: TensorLike, axes: number | readonly number[]): Tensor {
  const input = asTensor(x)
  const list = typeof axes === 'number' ? [axes] : axes
  const shape = [...input.shape]
  for (const axis of normalizeAxes('expandDims', list, input.rank + list.length)) shape.splice(axis, 0, 1)
  return reshape(input, shape)
}

/** Removes axes of size 1: those named, or all. */
export function squeeze(x: TensorLike, axes?: number | readonly number[]): Tensor {
  const input = asTensor(x)
  const drop =
    axes === undefined
      ? input.shape.map((_, i) => i).filter(i => input.shape[i] === 1)
      : normalizeAxes('squeeze', axes, input.rank)
  for (const axis of drop)
    if (input.shape[axis] !== 1)
      throw new Error(`squeeze: axis ${axis} of ${formatShape(input.shape)} does not have size 1`)
  return reshape(
    input,
    input.shape.filter((_, axis) => !drop.includes(axis)),
  )
}

/** Merges the axes from `start` to `end` (both included) into one. */
export function flatten(x: TensorLike, start = 0, end = -1): Tensor {
  const input = asTensor(x)
  if (input.rank === 0) return reshape(input, [1])
  const first = normalizeAxis('flatten', start, input.rank)
  const last = normalizeAxis('flatten', end, input.rank)
  return reshape(input, [
    ...input.shape.slice(0, first),
    sizeOf(input.shape.slice(first, last + 1)),
    ...input.shape.slice(last + 1),
  ])
}

interface SliceAttributes {
  /** Per axis: first index, number of elements, step (may be negative). */
  readonly starts: readonly number[]
  readonly counts: readonly number[]
  readonly steps: readonly number[]
}

const slicePrimitive: Primitive<SliceAttributes> = {
  name: 'slice',
  shape: ([x], { counts }) => ({ shape: counts, dtype: x.dtype }),
  vjp: (node, [ct]) => {
    if (!ct) return []
    const { starts, counts, steps } = node.attributes
    const { shape } = node.inputs[0]
    const reversed = steps.map((step, axis) => (step < 0 ? axis : -1)).filter(axis => axis >= 0)
    const forward = reversed.length ? flip(ct, reversed) : ct
    const firsts = starts.map((start, axis) => (steps[axis] < 0 ? start + steps[axis] * (counts[axis] - 1) : start))
    const spread = dilate(forward, steps.map(Math.abs))
    return [
      pad(
        spread,
        shape.map((dim, axis) => [firsts[axis], dim - firsts[axis] - spread.shape[axis]]),
      ),
    ]
  },
  lower: (to, [x], node) => {
    const { starts, counts, steps } = node.attributes
    const { shape } = node.inputs[0]
    const axes = counts.map((_, axis) => axis).filter(axis => counts[axis] !== shape[axis] || steps[axis] < 0)
    const ends = axes.map(axis => {
      const end = starts[axis] + steps[axis] * counts[axis]
      return end < 0 ? Number.MIN_SAFE_INTEGER : end
    })
    return to.emit('Slice', [
      x,
      to.ints(axes.map(axis => starts[axis])),
      to.ints(ends),
      to.ints(axes),
      to.ints(axes.map(axis => steps[axis])),
    ])
  },
  evaluate: ([x], { starts, steps }, [out]) => {
    const strides = stridesOf(x.shape)
    const origin = starts.reduce((sum, start, axis) => sum + start * strides[axis], 0)
    const result = new Float64Array(sizeOf(out.shape))
    forEachOffset(out.shape, [strides.map((stride, axis) => stride * steps[axis])], ([i], k) => {
      result[k] = x.data[origin + i]
    })
    return result
  },
  rewrite: node => {
    const { counts, steps } = node.attributes
    return sameShape(counts, node.inputs[0].shape) && steps.every(step => step > 0) ? node.inputs[0] : undefined
  },
}

/** What to take along one axis: all of it (`null`), one index (the axis goes), or `[start, end, step]` as in Python. */
export type Index = null | number | readonly [start?: number | null, end?: number | null, step?: number]

/**
 * Basic indexing, one entry an axis; missing trailing entries take everything. `x.at(0, [1, 3])` is Python's `x[0, 1:3]`.
 * @throws when a single index is out of range, or a step is 0
 */
export function at(x: TensorLike, ...indices: Index[]): Tensor {
  const input = asTensor(x)
  if (indices.length > input.rank) throw new Error(`at: ${indices.length} indices for ${formatShape(input.shape)}`)
  const starts: number[] = []
  const counts: number[] = []
  const steps: number[] = []
  input.shape.forEach((dim, axis) => {
    const index = indices[axis] ?? null
    const [start, count, step] =
      typeof index === 'number' ? single(index, dim, axis, input.shape) : range(index ?? [], dim, axis, input.shape)
    starts.push(start)
    counts.push(count)
    steps.push(step)
  })
  const taken = apply(slicePrimitive, [input], { starts, counts, steps })
  return reshape(
    taken,
    taken.shape.filter((_, axis) => typeof indices[axis] !== 'number'),
  )
}

function single(index: number, dim: number, axis: number, shape: Shape): [number, number, number] {
  requireConcrete('at', shape, [axis])
  const normal = index < 0 ? index + dim : index
  if (!Number.isInteger(index) || normal < 0 || normal >= dim)
    throw new Error(`at: index ${index} is out of range for axis ${axis} of ${formatShape(shape)}`)
  return [normal, 1, 1]
}

function range(
  [start, end, step = 1]: readonly [start?: number | null, end?: number | null, step?: number],
  dim: number,
  axis: number,
  shape: Shape,
): [number, number, number] {
  if (step === 0 || !Number.isInteger(step))
    throw new Error(`at: step ${step} along axis ${axis} must be a whole number other than 0`)
  if ((start ?? null) === null && (end ?? null) === null && step === 1) return [0, dim, 1]
  requireConcrete('at', shape, [axis])
  const clamp = (value: number, low: number, high: number): number =>
    Math.min(Math.max(value < 0 ? value + dim : value, low), high)
  const [low, high] = step > 0 ? [0, dim] : [-1, dim - 1]
  const first = start == null ? (step > 0 ? 0 : dim - 1) : clamp(start, low, high)
  const last = end == null ? (step > 0 ? dim : -1) : clamp(end, low, high)
  const count = Math.max(0, Math.ceil((last - first) / step))
  return [count === 0 ? 0 : first, count, step]
}

/** Elements `start` to `end` (exclusive) of one axis. */
export function slice(x: TensorLike, axis: number, start: number, end?: number, step = 1): Tensor {
  const input = asTensor(x)
  const normal = normalizeAxis('slice', axis, input.rank)
  const indices: Index[] = input.shape.map((_, i) => (i === normal ? [start, end ?? null, step] : null))
  return at(input, ...indices)
}

/** Reverses the order along these axes. */
export function flip(x: TensorLike, axes: number | readonly number[]): Tensor {
  const input = asTensor(x)
  const reversed = normalizeAxes('flip', axes, input.rank)
  return at(input, ...input.shape.map((_, axis): Index => (reversed.includes(axis) ? [null, null, -1] : null)))
}

export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular'

const padPrimitive: Primitive<{ readonly widths: readonly (readonly [number, number])[]; readonly value: number }> = {
  name: 'pad',
  shape: ([x], { widths }) => ({
    shape: x.shape.map((dim, axis) => {
      const [before, after] = widths[axis]
      if (before === 0 && after === 0) return dim
      requireConcrete('pad', x.shape, [axis])
      if (dim + before + after < 0)
        throw new Error(`pad: [${before},${after}] crops more than axis ${axis} of ${formatShape(x.shape)} has`)
      return dim + before + after
    }),
    dtype: x.dtype,
  }),
  vjp: (node, [ct]) => {
    const { widths } = node.attributes
    return [
      ct &&
        pad(
          ct,
          widths.map(([before, after]) => [-before, -after]),
        ),
    ]
  },
  lower: (to, [x], node) => {
    const { widths, value } = node.attributes
    const input = node.inputs[0]
    const pads = to.ints([...widths.map(([before]) => before), ...widths.map(([, after]) => after)])
    return input.dtype === 'bool'
      ? to.emit('Cast', [to.emit('Pad', [to.emit('Cast', [x], { to: { int: 6 } }), pads, to.scalar(value, 'i32')])], {
          to: { int: 9 },
        })
      : to.emit('Pad', [x, pads, to.scalar(value, input.dtype)])
  },
  evaluate: ([x], { widths, value }, [out]) => {
    const result = new Float64Array(sizeOf(out.shape)).fill(value)
    const outStrides = stridesOf(out.shape)
    const index = new Array<number>(x.shape.length).fill(0)
    for (let i = 0; i < x.data.length; i++) {
      let offset = 0
      let inside = true
      for (let axis = 0; axis < index.length; axis++) {
        const place = index[axis] + widths[axis][0]
        if (place < 0 || place >= out.shape[axis]) inside = false
        offset += place * outStrides[axis]
      }
      if (inside) result[offset] = x.data[i]
      for (let axis = index.length - 1; axis >= 0 && ++index[axis] === x.shape[axis]; axis--) index[axis] = 0
    }
    return result
  },
  rewrite: node =>
    node.attributes.widths.every(([before, after]) => before === 0 && after === 0) ? node.inputs[0] : undefined,
}

/**
 * Adds a border (negative widths crop).
 * @param widths `[before, after]` for every axis
 * @param mode `constant` fills with `value`; `reflect` mirrors without the edge; `replicate` repeats it; `circular` wraps around
 * @throws when a reflected border is not smaller than its axis, or a circular one larger
 */
export function pad(
  x: TensorLike,
  widths: readonly (readonly [number, number])[],
  mode: PadMode = 'constant',
  value = 0,
): Tensor {
  const input = asTensor(x)
  if (widths.length !== input.rank) throw new Error(`pad: ${widths.length} width pairs for ${formatShape(input.shape)}`)
  if (mode === 'constant') return apply(padPrimitive, [input], { widths, value })
  return widths.reduce<Tensor>((padded, [before, after], axis) => padAxis(padded, axis, before, after, mode), input)
}

function padAxis(x: Tensor, axis: number, before: number, after: number, mode: PadMode): Tensor {
  if (before === 0 && after === 0) return x
  requireConcrete('pad', x.shape, [axis])
  if (before < 0 || after < 0)
    throw new Error(`pad: mode ${mode} cannot crop (widths [${before},${after}] on axis ${axis})`)
  const dim = x.shape[axis]
  const limit = mode === 'reflect' ? dim - 1 : mode === 'circular' ? dim : Number.POSITIVE_INFINITY
  if (before > limit || after > limit)
    throw new Error(
      `pad: mode ${mode} allows at most ${limit} on axis ${axis} of ${formatShape(x.shape)}, got [${before},${after}]`,
    )
  const parts: Tensor[] = []
  if (mode === 'reflect') {
    if (before) parts.push(flip(slice(x, axis, 1, before + 1), axis))
    parts.push(x)
    if (after) parts.push(flip(slice(x, axis, dim - 1 - after, dim - 1), axis))
  } else if (mode === 'circular') {
    if (before) parts.push(slice(x, axis, dim - before, dim))
    parts.push(x)
    if (after) parts.push(slice(x, axis, 0, after))
  } else {
    const edge = (at: number, count: number): Tensor => {
      const taken = slice(x, axis, at, at + 1)
      return broadcastTo(
        taken,
        taken.shape.map((size, i) => (i === axis ? count : size)),
      )
    }
    if (before) parts.push(edge(0, before))
    parts.push(x)
    if (after) parts.push(edge(dim - 1, after))
  }
  return concat(parts, axis)
}

/** Inserts `steps[axis]-1` zeros between neighbours along each axis: the adjoint of a strided slice, without its tail. */
export function dilate(x: Tensor, steps: readonly number[]): Tensor {
  if (steps.every(step => step === 1)) return x
  requireConcrete(
    'dilate',
    x.shape,
    steps.map((step, axis) => (step === 1 ? -1 : axis)).filter(axis => axis >= 0),
  )
  const apart = reshape(
    x,
    x.shape.flatMap((dim, axis) => (steps[axis] === 1 ? [dim] : [dim, 1])),
  )
  const widths: [number, number][] = steps.flatMap((step): [number, number][] =>
    step === 1
      ? [[0, 0]]
      : [
          [0, 0],
          [0, step - 1],
        ],
  )
  const spread = reshape(
    pad(apart, widths),
    x.shape.map((dim, axis) => dim * steps[axis]),
  )
  return at(
    spread,
    ...x.shape.map((dim, axis): Index => (steps[axis] === 1 ? null : [0, Math.max(0, (dim - 1) * steps[axis] + 1)])),
  )
}

const concatPrimitive: Primitive<{ readonly axis: number }> = {
  name: 'concat',
  shape: (inputs, { axis }) => {
    const [first] = inputs
    let total = 0
    for (const { shape, dtype } of inputs) {
      if (dtype !== first.dtype) throw new Error(`concat: dtypes ${first.dtype} and ${dtype} differ`)
      if (shape.length !== first.shape.length || shape.some((dim, i) => i !== axis && dim !== first.shape[i]))
        throw new Error(`concat: ${formatShape(first.shape)} and ${formatShape(shape)} differ outside axis ${axis}`)
      requireConcrete('concat', shape, [axis])
      total += shape[axis]
    }
    return { shape: first.shape.map((dim, i) => (i === axis ? total : dim)), dtype: first.dtype }
  },
  vjp: (node, [ct]) => {
    if (!ct) return []
    const { axis } = node.attributes
    let start = 0
    return node.inputs.map(input => {
      const part = slice(ct, axis, start, start + input.shape[axis])
      start += input.shape[axis]
      return part
    })
  },
  lower: (to, inputs, node) => to.emit('Concat', inputs, { axis: { int: node.attributes.axis } }),
  evaluate: (inputs, { axis }, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    const inner = sizeOf(out.shape.slice(axis + 1))
    const outer = sizeOf(out.shape.slice(0, axis))
    let start = 0
    for (const { data, shape } of inputs) {
      const width = shape[axis] * inner
      for (let o = 0; o < outer; o++)
        result.set(data.subarray(o * width, (o + 1) * width), o * out.shape[axis] * inner + start)
      start += width
    }
    return result
  },
}

/** Joins tensors end to end along an existing axis. */
export function concat(tensors: readonly TensorLike[], axis = 0): Tensor {
  if (tensors.length === 0) throw new Error('concat: needs at least one tensor')
  const inputs = tensors.map(t => asTensor(t))
  return inputs.length === 1
    ? inputs[0]
    : apply(concatPrimitive, inputs, { axis: normalizeAxis('concat', axis, inputs[0].rank) })
}

/** Joins tensors of equal shape along a new axis. */
export function stack(tensors: readonly TensorLike[], axis = 0): Tensor {
  const inputs = tensors.map(t => asTensor(t))
  const place = normalizeAxis('stack', axis, (inputs[0]?.rank ?? 0) + 1)
  return concat(
    inputs.map(t => expandDims(t, place)),
    place,
  )
}

/**
 * Cuts a tensor along an axis.
 * @param sections number of equal parts, or the size of each
 */
export function split(x: TensorLike, sections: number | readonly number[], axis = 0): Tensor[] {
  const input = asTensor(x)
  const normal = normalizeAxis('split', axis, input.rank)
  const dim = input.shape[normal]
  if (typeof sections === 'number' && dim % sections !== 0)
    throw new Error(`split: axis ${axis} of ${formatShape(input.shape)} does not divide into ${sections} equal parts`)
  const sizes = typeof sections === 'number' ? new Array<number>(sections).fill(dim / sections) : sections
  if (sizes.reduce((total, size) => total + size, 0) !== dim)
    throw new Error(`split: sizes [${sizes}] do not add up to axis ${axis} of ${formatShape(input.shape)}`)
  let start = 0
  return sizes.map(size => {
    const part = slice(input, normal, start, start + size)
    start += size
    return part
  })
}

/** Shifts elements along an axis, those pushed out coming back at the other end. */
export function roll(x: TensorLike, shift: number | readonly number[], axes: number | readonly number[]): Tensor {
  const input = asTensor(x)
  const shifts = typeof shift === 'number' ? [shift] : shift
  const along = typeof axes === 'number' ? [axes] : axes
  if (shifts.length !== along.length) throw new Error(`roll: ${shifts.length} shifts for ${along.length} axes`)
  return along.reduce<Tensor>((rolled, axis, i) => {
    const dim = rolled.shape[normalizeAxis('roll', axis, rolled.rank)]
    const cut = dim === 0 ? 0 : ((-shifts[i] % dim) + dim) % dim
    return cut === 0 ? rolled : concat([slice(rolled, axis, cut, dim), slice(rolled, axis, 0, cut)], axis)
  }, input)
}

/** Repeats the whole tensor `counts[axis]` times along each axis. */
export function tile(x: TensorLike, counts: readonly number[]): Tensor {
  const input = asTensor(x)
  const lead = Math.max(0, counts.length - input.rank)
  const shape = [...new Array<number>(lead).fill(1), ...input.shape]
  const times = [...new Array<number>(Math.max(0, input.rank - counts.length)).fill(1), ...counts]
  const apart = reshape(
    input,
    shape.flatMap(dim => [1, dim]),
  )
  const spread = broadcastTo(
    apart,
    shape.flatMap((dim, axis) => [times[axis], dim]),
  )
  return reshape(
    spread,
    shape.map((dim, axis) => dim * times[axis]),
  )
}
