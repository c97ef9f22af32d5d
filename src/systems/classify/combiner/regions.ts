import { concat, cumulativeMax, maskedSoftmax, pad, softmax, type Tensor, tensor, where } from '../../../core/index.ts'

/** Queries (scaled once by 1/sqrt(dim)), keys and values of all heads; the width of values may differ. */
export interface Projections {
  /** [..., positions, dim] */
  readonly query: Tensor
  /** [..., positions, dim] */
  readonly key: Tensor
  /** [..., positions, width] */
  readonly value: Tensor
}

/** What stands for a region: one key that is attended to, and one value. */
export interface Abstraction {
  readonly key: Tensor
  readonly value: Tensor
}

export interface SummaryOptions {
  /** bool, true at positions that do not count; broadcasts with [..., positions]. */
  readonly blocked?: Tensor
  /** Applied to the weights inside a region. */
  readonly dropout?: (weights: Tensor) => Tensor
}

/** Far below any projection, yet finite. */
const LOWERED = -1e9

/**
 * Abstractions of regions: with q and k the largest query and key of a region, in each dimension on its own,
 * V = sum_j softmax_j(q k_j) v_j, and the key k.
 * @param given [..., size, dim] for regions of `size` positions
 * @returns key [..., dim] and value [..., width]; zeros for a region whose positions are all blocked
 * @throws when sizes do not fit. Source: Ren et al. 2021 (Combiner), section 4.1; google-research/combiner, layer.py
 */
export function regionSummary({ query, key, value }: Projections, options: SummaryOptions = {}): Abstraction {
  const { blocked, dropout = (weights: Tensor) => weights } = options
  const largest = (t: Tensor): Tensor => {
    if (!blocked) return t.max(-2, true)
    const present = where(blocked.expandDims(-1), LOWERED, t).max(-2, true)
    return where(allTrue(blocked).expandDims(-1).expandDims(-1), 0, present)
  }
  const logits = largest(query).matmul(key, { transposeB: true })
  const weights = blocked ? maskedSoftmax(logits, blocked.expandDims(-2)) : softmax(logits, -1)
  return { key: largest(key).squeeze(-2), value: dropout(weights).matmul(value).squeeze(-2) }
}

/** Whether all of the last axis is true. */
export const allTrue = (t: Tensor): Tensor => t.not().cast('i32').max(-1).equal(0)

/**
 * Abstractions of what lies before each position: running maxima of queries and keys and causal attention up to each
 * position, moved on by one. The first position gets zeros.
 * @param given [..., positions, dim]
 * @param reverse of what lies after each position instead
 * @returns key [..., positions, dim] and value [..., positions, width]
 */
export function prefixSummary({ query, key, value }: Projections, reverse = false): Abstraction {
  const positions = query.shape[query.rank - 2]
  const largest = (t: Tensor): Tensor => cumulativeMax(t, -2, { reverse })
  const later = mask([positions, positions], ([i, j]) => (reverse ? j < i : j > i))
  const weights = maskedSoftmax(largest(query).matmul(key, { transposeB: true }), later)
  return { key: shift(largest(key), reverse), value: shift(weights.matmul(value), reverse) }
}

/** Moves the last axis but one on by one position, or back; zeros come in. */
export function shift(x: Tensor, back = false): Tensor {
  const positions = x.shape[x.rank - 2]
  const kept = back ? x.slice(-2, 1) : x.slice(-2, 0, positions - 1)
  const border = x.shape.map((_, axis): [number, number] => {
    if (axis !== x.rank - 2) return [0, 0]
    return back ? [0, 1] : [1, 0]
  })
  return pad(kept, border)
}

/** A bool constant, true where a rule says so. */
export function mask(shape: readonly number[], rule: (place: readonly number[]) => boolean): Tensor {
  const place = shape.map(() => 0)
  const values = Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
    for (let axis = shape.length - 1, rest = i; axis >= 0; axis--) {
      place[axis] = rest % shape[axis]
      rest = Math.floor(rest / shape[axis])
    }
    return Number(rule(place))
  })
  return tensor(values, shape, 'bool')
}

/** Some of the entries that a position attends to. */
export interface Support {
  /** [..., positions, entries] */
  readonly logits: Tensor
  /** bool, true where an entry is none of this position's; of the shape of `logits` up to axes of size 1. */
  readonly blocked: Tensor
}

/**
 * One softmax over several sets of entries together, so that all weights of a position sum to 1.
 * @returns the weights of each set
 */
export function jointSoftmax(supports: readonly Support[]): Tensor[] {
  if (supports.length === 1) return [maskedSoftmax(supports[0].logits, supports[0].blocked)]
  const rank = supports[0].logits.rank
  const sizes = supports.map(({ blocked }) => [...new Array<number>(rank - blocked.rank).fill(1), ...blocked.shape])
  const shared = Array.from({ length: rank - 1 }, (_, axis) => {
    const found = sizes.map(shape => shape[axis]).find(size => size !== 1)
    return found ?? 1
  })
  const blocked = concat(
    supports.map(({ logits, blocked }) => blocked.broadcastTo([...shared, logits.shape[rank - 1]])),
    -1,
  )
  const weights = maskedSoftmax(
    concat(
      supports.map(({ logits }) => logits),
      -1,
    ),
    blocked,
  )
  let start = 0
  return supports.map(({ logits }) => {
    const end = start + logits.shape[rank - 1]
    const part = weights.slice(-1, start, end)
    start = end
    return part
  })
}
