/**
 * Sizes of a tensor's axes. Every size is a concrete number except those that follow the one symbolic batch axis
 * of an exported model, written as negative multiples: -1 is the batch, -12 is twelve times the batch.
 * Products and exact quotients of sizes then stay plain integer arithmetic (see docs/decisions/0002).
 */
export type Shape = readonly number[]

/** Number of elements; negative when the batch is symbolic. */
export function sizeOf(shape: Shape): number {
  let size = 1
  for (const dim of shape) size *= dim
  return size
}

export const isSymbolic = (shape: Shape): boolean => shape.some(dim => dim < 0)

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis])
}

/** `[2,3]`, with a symbolic batch shown as `N` and its multiples as `12N`. */
export function formatShape(shape: Shape): string {
  return `[${shape.map(dim => (dim >= 0 ? dim : dim === -1 ? 'N' : `${-dim}N`)).join(',')}]`
}

/** Replaces the symbolic batch by a concrete number. */
export function bindBatch(shape: Shape, batch: number | undefined): number[] {
  return shape.map(dim => {
    if (dim >= 0) return dim
    if (batch === undefined) throw new Error(`shape ${formatShape(shape)} needs a concrete batch size here`)
    return -dim * batch
  })
}

/** Throws unless every axis in `axes` (default: all) has a concrete size. */
export function requireConcrete(op: string, shape: Shape, axes?: readonly number[]): void {
  for (const axis of axes ?? shape.keys())
    if (shape[axis] < 0)
      throw new Error(
        `${op}: axis ${axis} of ${formatShape(shape)} is the symbolic batch; this operation needs its size`,
      )
}

/** Turns a possibly negative axis into 0..rank-1, or throws naming the operation. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank)
    throw new Error(`${op}: axis ${axis} is out of range for a tensor of ${rank} axes`)
  return normal
}

/** Normalises one axis, several, or all (`undefined`), sorted and without repeats. */
export function normalizeAxes(op: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis)
  const list = typeof axes === 'number' ? [axes] : axes
  const normal = list.map(axis => normalizeAxis(op, axis, rank))
  if (new Set(normal).size !== normal.length) throw new Error(`${op}: axes [${list}] name the same axis twice`)
  return normal.sort((a, b) => a - b)
}

/** NumPy broadcasting of any number of shapes, or an error that names the operation and the shapes. */
export function broadcastShapes(op: string, ...shapes: Shape[]): number[] {
  const rank = Math.max(...shapes.map(shape => shape.length))
  const out: number[] = new Array(rank).fill(1)
  for (const shape of shapes)
    shape.forEach((dim, i) => {
      const axis = rank - shape.length + i
      if (out[axis] === 1) out[axis] = dim
      else if (dim !== 1 && dim !== out[axis])
        throw new Error(`${op}: shapes ${shapes.map(formatShape).join(' and ')} do not broadcast (axis ${axis - rank})`)
    })
  return out
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis]
  }
  return strides
}

/** Strides with which `shape` reads as if it were broadcast to `target`: 0 along repeated axes. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape)
  const lead = target.length - shape.length
  return target.map((_, axis) => (axis < lead || shape[axis - lead] === 1 ? 0 : own[axis - lead]))
}

/**
 * Visits every position of `shape` in row-major order, giving the linear offset under each of `strides`.
 * The loop that all float64 reference evaluations are written with.
 */
export function forEachOffset(
  shape: Shape,
  strides: readonly number[][],
  visit: (offsets: number[], linear: number) => void,
) {
  const rank = shape.length
  const total = sizeOf(shape)
  if (total === 0) return
  const index = new Array<number>(rank).fill(0)
  const offsets = new Array<number>(strides.length).fill(0)
  for (let linear = 0; linear < total; linear++) {
    visit(offsets, linear)
    for (let axis = rank - 1; axis >= 0; axis--) {
      index[axis]++
      for (let s = 0; s < strides.length; s++) offsets[s] += strides[s][axis]
      if (index[axis] < shape[axis]) break
      for (let s = 0; s < strides.length; s++) offsets[s] -= strides[s][axis] * shape[axis]
      index[axis] = 0
    }
  }
}
