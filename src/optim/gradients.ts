import { asTensor, clip, minimum, sqrt, type Tensor } from '../core/index.ts'

/** Root of the sum of all squared entries. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  return sqrt(gradients.map(g => g.mul(g).sum()).reduce<Tensor>((a, b) => a.add(b), asTensor(0)))
}

/**
 * Scales gradients so that their global norm is at most `limit`.
 * @returns the scaled gradients and the norm before. Source: Pascanu et al. 2013; PyTorch adds 1e-6 to the norm
 */
export function clipByGlobalNorm(gradients: readonly Tensor[], limit: number): { gradients: Tensor[]; norm: Tensor } {
  const norm = globalNorm(gradients)
  const scale = minimum(asTensor(limit).div(norm.add(1e-6)), 1)
  return { gradients: gradients.map(g => g.mul(scale)), norm }
}

/** Limits every entry to [-limit, limit]. */
export const clipByValue = (gradients: readonly Tensor[], limit: number): Tensor[] =>
  gradients.map(g => clip(g, -limit, limit))
