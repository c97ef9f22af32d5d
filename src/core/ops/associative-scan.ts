import { formatShape, normalizeAxis, requireConcrete } from '../shape.ts'
import { asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { at, concat, flip, type Index, reshape, stack } from './layout.ts'

/**
 * All prefixes of a sequence under an associative operation: y_0 = x_0, y_t = y_{t-1} o x_t, in 2 log2(n) rounds of about n
 * combinations in all: neighbours are combined, the shorter sequence is scanned in the same way, and the places
 * between are filled in (Blelloch 1990, "Prefix sums and their applications").
 *
 * It is a composition of what `combine` is made of, so it needs no gradient of its own. It pays on devices that can do many steps at
 * once; on a CPU a loop (`scan`, `linearScan`) makes fewer passes over memory.
 * @param combine gives the elements of `left o right` from those of left and right; must be associative, and act on each
 *   place along `axis` by itself
 * @param elements one tensor or several that together make up an element, all of the same size along `axis`
 * @param axis default 0
 * @param reverse from the end: y_t = y_{t+1} o x_t; default false
 * @returns the prefixes, of the shapes of `elements`
 * @throws when the sizes along the axis differ, or `combine` changes the number of tensors
 */
export function associativeScan(
  combine: (left: readonly Tensor[], right: readonly Tensor[]) => readonly Tensor[],
  elements: readonly TensorLike[],
  axis = 0,
  { reverse = false }: { readonly reverse?: boolean } = {},
): Tensor[] {
  const inputs = elements.map(t => asTensor(t))
  const axes = inputs.map(t => normalizeAxis('associativeScan', axis, t.rank))
  inputs.forEach((t, i) => {
    requireConcrete('associativeScan', t.shape, [axes[i]])
    if (t.shape[axes[i]] !== inputs[0].shape[axes[0]])
      throw new Error(
        `associativeScan: ${formatShape(inputs[0].shape)} and ${formatShape(t.shape)} differ in size along axis ${axis}`,
      )
  })
  const checked = (left: readonly Tensor[], right: readonly Tensor[]): readonly Tensor[] => {
    const combined = combine(left, right)
    if (combined.length !== inputs.length)
      throw new Error(`associativeScan: combine returned ${combined.length} tensors for elements of ${inputs.length}`)
    return combined
  }
  const ordered = reverse ? inputs.map((t, i) => flip(t, axes[i])) : inputs
  const scanned = prefixes(checked, ordered, axes)
  return reverse ? scanned.map((t, i) => flip(t, axes[i])) : scanned
}

type Combine = (left: readonly Tensor[], right: readonly Tensor[]) => readonly Tensor[]

function prefixes(combine: Combine, elements: readonly Tensor[], axes: readonly number[]): Tensor[] {
  const size = elements[0].shape[axes[0]]
  if (size < 2) return [...elements]
  const take = (list: readonly Tensor[], start: number, end: number, step = 1): Tensor[] =>
    list.map((t, i) => at(t, ...t.shape.map((_, a): Index => (a === axes[i] ? [start, end, step] : null))))
  const pairs = combine(take(elements, 0, size - 1, 2), take(elements, 1, size, 2))
  // Prefixes that end at odd places are those of the pairs; one more element each gives the even places after the first.
  const odd = prefixes(combine, pairs, axes)
  if (size === 2) return join([take(elements, 0, 1), odd], axes)
  const half = Math.floor(size / 2)
  const later = combine(take(odd, 0, Math.ceil(size / 2) - 1), take(elements, 2, size, 2))
  const even = join([take(elements, 0, 1), later], axes)
  const whole = interleave(take(even, 0, half), odd, axes)
  return size % 2 === 0 ? whole : join([whole, take(even, half, half + 1)], axes)
}

const join = (parts: readonly (readonly Tensor[])[], axes: readonly number[]): Tensor[] =>
  axes.map((axis, i) =>
    concat(
      parts.map(part => part[i]),
      axis,
    ),
  )

/** a_0, b_0, a_1, b_1, … */
const interleave = (a: readonly Tensor[], b: readonly Tensor[], axes: readonly number[]): Tensor[] =>
  a.map((t, i) => {
    const shape = t.shape.map((dim, axis) => (axis === axes[i] ? 2 * dim : dim))
    return reshape(stack([t, b[i]], axes[i] + 1), shape)
  })
