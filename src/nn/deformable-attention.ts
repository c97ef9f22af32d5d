import { formatShape, sampleRows, softmax, type Tensor, tensor } from '../core/index.ts'
import { xavierUniform } from './initialise.ts'
import { type LevelSizes, levelTokens, splitLevels } from './levels.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'

/**
 * Weighted sums of values that are read at a few places of several maps, each by bilinear interpolation (outside: zeros):
 * y[b, q, m] = sum over levels l and points p of weights[b, q, m, l, p] value_l[b, m](locations[b, q, m, l, p]).
 * @param value [batch, positions of all levels, heads, width]
 * @param sizes height and width of each level
 * @param locations [batch, queries, heads, levels, points, 2]: (x, y) with 0 and 1 at the outer edges of a map
 * @param weights [batch, queries, heads, levels, points]
 * @returns [batch, queries, heads * width]
 * @throws when the shapes do not fit. Source: Zhu et al. 2021, "Deformable DETR", equation 3
 */
export function msDeformAttention(value: Tensor, sizes: LevelSizes, locations: Tensor, weights: Tensor): Tensor {
  const [, positions, heads, width] = value.shape
  const [, queries, , levels, points] = locations.shape
  const expected = [queries, heads, sizes.length, points]
  if (value.rank !== 4 || positions !== levelTokens(sizes))
    throw new Error(
      `msDeformAttention: levels of ${sizes.map(size => size.join('x')).join(', ')} hold ${levelTokens(sizes)} positions, got value ${formatShape(value.shape)}`,
    )
  if (
    locations.rank !== 6 ||
    levels !== sizes.length ||
    locations.shape.slice(1).join() !== [...expected, 2].join() ||
    weights.shape.slice(1).join() !== expected.join()
  )
    throw new Error(
      `msDeformAttention: expected locations [batch, queries, ${heads}, ${sizes.length}, points, 2] and weights of the same axes but the last, got ${formatShape(locations.shape)} and ${formatShape(weights.shape)}`,
    )
  const rows = splitLevels(value.rearrange('b n m d -> (b m) n d'), sizes)
  const sampled = sizes.map((size, level) => {
    const place = locations.at(null, null, null, level).rearrange('b q m p xy -> (b m) (q p) xy')
    // Coordinates come x first; the first axis of a map is its height.
    const along = (axis: number): Tensor =>
      place
        .at(null, null, 1 - axis)
        .mul(size[axis])
        .sub(0.5)
    const factor = weights.at(null, null, null, level).rearrange('b q m p -> (b m) (q p)')
    return sampleRows(rows[level], size, [along(0), along(1)], factor)
  })
  const total = sampled.reduce((sum, part) => sum.add(part))
  return total
    .rearrange('bm (q p) d -> bm q p d', { p: points })
    .sum(2)
    .rearrange('(b m) q d -> b q (m d)', { m: heads, d: width })
}

/**
 * Centres of the cells of all levels, as reference points: [1, positions of all levels, 1, 2], (x, y) in 0..1.
 * @param sizes height and width of each level
 */
export function cellCentres(sizes: LevelSizes): Tensor {
  const places = sizes.flatMap(([height, width]) =>
    Array.from({ length: height * width }, (_, i) => [
      ((i % width) + 0.5) / width,
      (Math.floor(i / width) + 0.5) / height,
    ]),
  )
  return tensor(Float32Array.from(places.flat()), [1, places.length, 1, 2])
}

export interface DeformableAttentionOptions {
  readonly heads?: number
  readonly levels?: number
  /** Places that a head reads in each level; default 4. */
  readonly points?: number
  /** Width of the values over `dim`; default 1. */
  readonly valueRatio?: number
}

/**
 * Attention that reads each level of a pyramid at a few places only, whose offsets from a reference point and whose
 * weights are linear in the query. Names are those of the official `MSDeformAttn`.
 * Source: Zhu et al. 2021, "Deformable DETR", section 4.1
 */
export class MultiScaleDeformableAttention extends Module {
  readonly sampling_offsets: Linear
  readonly attention_weights: Linear
  readonly value_proj: Linear
  readonly output_proj: Linear
  readonly #counts: { readonly heads: number; readonly levels: number; readonly points: number }

  /** @throws when the heads do not divide the width of queries or values */
  constructor(
    readonly dim: number,
    { heads = 8, levels = 4, points = 4, valueRatio = 1 }: DeformableAttentionOptions = {},
  ) {
    super()
    const width = Math.floor(dim * valueRatio + 1e-6)
    if (dim % heads !== 0 || width % heads !== 0)
      throw new Error(`MultiScaleDeformableAttention: ${heads} heads do not divide the widths ${dim} and ${width}`)
    const places = heads * levels * points
    this.sampling_offsets = new Linear(dim, places * 2)
    this.attention_weights = new Linear(dim, places)
    this.value_proj = new Linear(dim, width)
    this.output_proj = new Linear(width, dim)
    this.#counts = { heads, levels, points }
    this.initialise()
  }

  /** The official start: heads look in directions around a ring, points ever further, whatever the query; equal weights. */
  initialise(): void {
    const { heads, levels, points } = this.#counts
    for (const layer of [this.sampling_offsets, this.attention_weights])
      layer.weight.set(new Float32Array(layer.weight.size))
    this.attention_weights.bias!.set(new Float32Array(heads * levels * points))
    const offsets = Array.from({ length: heads }, (_, head) => {
      const angle = (2 * Math.PI * head) / heads
      const [x, y] = [Math.cos(angle), Math.sin(angle)]
      const longest = Math.max(Math.abs(x), Math.abs(y))
      return Array.from({ length: levels }, () =>
        Array.from({ length: points }, (_, point) => [x, y].map(part => (part / longest) * (point + 1))),
      )
    })
    this.sampling_offsets.bias!.set(Float32Array.from(offsets.flat(3)))
    for (const layer of [this.value_proj, this.output_proj]) {
      layer.weight.set(xavierUniform()(layer.weight.shape))
      layer.bias!.set(new Float32Array(layer.bias!.size))
    }
  }

  /**
   * @param query [batch, queries, dim]
   * @param reference [batch or 1, queries, levels or 1, 2]: points (x, y) in 0..1; or 4: boxes (centre x, centre y,
   *   width, height), in which offsets count in halves of the box, shared among the points
   * @param value [batch, positions of all levels, dim]
   * @param sizes height and width of each level
   * @param padding bool [batch, positions], true where a position is padding and reads as zeros
   * @returns [batch, queries, dim]
   * @throws when the shapes do not fit
   */
  override forward(query: Tensor, reference: Tensor, value: Tensor, sizes: LevelSizes, padding?: Tensor): Tensor {
    const projected = this.value_proj.forward(value)
    const masked = padding ? projected.mul(padding.not().cast(value.dtype).expandDims(-1)) : projected
    const { locations, weights } = this.sampling(query, reference, sizes)
    const read = msDeformAttention(
      masked.rearrange('b n (m d) -> b n m d', { m: this.#counts.heads }),
      sizes,
      locations,
      weights,
    )
    return this.output_proj.forward(read)
  }

  /** Where each query reads, and with which weights (they sum to 1 over levels and points): see {@link msDeformAttention}. */
  sampling(query: Tensor, reference: Tensor, sizes: LevelSizes): { locations: Tensor; weights: Tensor } {
    const { heads: m, levels: l, points: p } = this.#counts
    if (sizes.length !== l)
      throw new Error(`MultiScaleDeformableAttention: built for ${l} levels, got sizes of ${sizes.length}`)
    if (reference.rank !== 4 || (reference.shape[3] !== 2 && reference.shape[3] !== 4))
      throw new Error(
        `MultiScaleDeformableAttention: expected reference [batch, queries, levels, 2 or 4], got ${formatShape(reference.shape)}`,
      )
    const offsets = this.sampling_offsets.forward(query).rearrange('b q (m l p xy) -> b q m l p xy', { m, l, p, xy: 2 })
    const scores = this.attention_weights.forward(query).rearrange('b q (m lp) -> b q m lp', { m })
    const weights = softmax(scores, -1).rearrange('b q m (l p) -> b q m l p', { l })
    const around = reference.rearrange('b q l c -> b q 1 l 1 c')
    if (reference.shape[3] === 4) {
      const [centre, extent] = around.split(2, -1)
      return { locations: centre.add(offsets.mul(extent).mul(0.5 / p)), weights }
    }
    const cells = tensor(Float32Array.from(sizes.flatMap(([height, width]) => [1 / width, 1 / height])), [l, 1, 2])
    return { locations: around.add(offsets.mul(cells)), weights }
  }
}

/** Deformable attention among all positions of a pyramid, around the centre of each one's own cell. */
export class MultiScaleDeformableSelfAttention extends MultiScaleDeformableAttention {
  /**
   * @param query [batch, positions of all levels, dim]
   * @param value the same axes; default the query
   * @param sizes height and width of each level
   */
  attend(query: Tensor, value: Tensor, sizes: LevelSizes): Tensor {
    return this.forward(query, cellCentres(sizes), value, sizes)
  }
}
