import { asTensor, exp, slice, type Tensor } from '../../core/index.ts'
import { infoNce } from '../../nn/index.ts'

/**
 * Sum over prefixes of a loss of two batches of vectors, each prefix normalised by the loss itself. Source: Kusupati et al.
 * 2022, "Matryoshka Representation Learning"
 * @param widths prefix lengths, ascending
 * @param weights of the prefixes; default 1 over their number
 */
export function matryoshka(
  loss: (u: Tensor, v: Tensor) => Tensor,
  u: Tensor,
  v: Tensor,
  widths: readonly number[],
  weights: readonly number[] = widths.map(() => 1 / widths.length),
): Tensor {
  const dim = u.shape[u.rank - 1]
  if (widths.length === 0 || widths.some((w, i) => !(Number.isInteger(w) && w > (widths[i - 1] ?? 0) && w <= dim)))
    throw new Error(`matryoshka: widths must be whole numbers that grow up to ${dim}, got ${widths.join(', ')}`)
  if (weights.length !== widths.length || weights.some(w => !(w >= 0)) || weights.every(w => w === 0))
    throw new Error(`matryoshka: expected ${widths.length} weights of at least 0, not all 0, got ${weights.join(', ')}`)
  const cut = (x: Tensor, width: number): Tensor => (width === dim ? x : slice(x, -1, 0, width))
  return widths
    .map((width, i) => loss(cut(u, width), cut(v, width)).mul(weights[i]))
    .reduce((total, part) => total.add(part), asTensor(0))
}

/** True where two pairs of a batch belong together: the same group (concept), or the same text. @param keys i32 [batch] each */
export function together(...keys: readonly Tensor[]): Tensor {
  return keys.map(key => key.expandDims(1).equal(key.expandDims(0))).reduce((a, b) => a.or(b))
}

/** Symmetric contrastive loss over nested prefixes, at a learned scale of at most 100. */
export function nestedContrastive(
  u: Tensor,
  v: Tensor,
  logScale: Tensor,
  positives: Tensor,
  widths: readonly number[],
): Tensor {
  const scale = exp(logScale.minimum(Math.log(100)))
  return matryoshka((a, b) => infoNce(a, b, scale, positives), u, v, widths)
}
