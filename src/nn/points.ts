import {
  add,
  concat,
  div,
  expandDims,
  gather,
  type Indices,
  matmul,
  max,
  mean,
  min,
  mul,
  nearestPoints,
  reciprocal,
  relu,
  slice,
  squaredDistances,
  sub,
  sum,
  swapAxes,
  type Tensor,
} from '../core/index.ts'

/**
 * Chamfer distance with squared lengths: mean over a of min_b |a-b|^2 plus mean over b of min_a |a-b|^2
 * (Fan, Su & Guibas 2017, section 4.2).
 * @param a [..., n, d]
 * @param b [..., m, d]
 * @returns the mean over all leading axes, one number
 * @throws when the numbers of coordinates differ or a cloud is empty
 */
export function chamferDistance(a: Tensor, b: Tensor): Tensor {
  // Subtracting before squaring keeps the small distances that this is about.
  const squares = squaredDistances(a, b, { exact: true })
  return add(mean(min(squares, -1)), mean(min(squares, -2)))
}

/**
 * Features at new places as the inverse-distance weighted mean of those of the k nearest points:
 * f(q) = sum_i w_i f_i / sum_i w_i, w_i = 1 / (|q - p_i|^2 + 1e-8) (Qi et al. 2017, "PointNet++", equation 2).
 * @param queries [..., q, 3]
 * @param points [..., p, 3]
 * @param features [..., p, c]
 * @param k default 3
 * @returns [..., q, c]; gradients flow to the features and, through the weights, to the places
 */
export function interpolateNearest(queries: Tensor, points: Tensor, features: Tensor, k = 3): Tensor {
  const { indices, squaredDistances: squares } = nearestPoints(queries, points, k, { exact: true })
  const weights = reciprocal(add(squares, 1e-8))
  const shares = div(weights, sum(weights, -1, true))
  const neighbours = gather(features, indices, -2, { batchDims: features.rank - 2 })
  return sum(mul(neighbours, expandDims(shares, -1)), -2)
}

/**
 * Edge convolution with one linear layer: y_i = max over neighbours j of relu(W [f_i, f_j - f_i] + b)
 * (Wang et al. 2019, "DGCNN", equations 7 and 8).
 *
 * W [f_i, f_j - f_i] = (W_1 - W_2) f_i + W_2 f_j, so both products are taken once a point instead of once an edge, and only
 * the second is gathered.
 * @param features [..., n, c]
 * @param neighbours [..., n, k] indices of each point's neighbours
 * @param weight [out, 2c]
 * @param bias [out]
 * @returns [..., n, out]
 * @throws when the weight does not take 2c features
 */
export function edgeConvolution(features: Tensor, neighbours: Indices, weight: Tensor, bias?: Tensor): Tensor {
  const channels = features.shape[features.rank - 1]
  if (weight.rank !== 2 || weight.shape[1] !== 2 * channels)
    throw new Error(
      `edgeConvolution: features have ${channels} channels, so weight must be [out,${2 * channels}], got [${weight.shape}]`,
    )
  const centre = slice(weight, 1, 0, channels)
  const edge = slice(weight, 1, channels)
  const both = matmul(features, swapAxes(concat([sub(centre, edge), edge], 0), 0, 1))
  const out = weight.shape[0]
  const own = slice(both, -1, 0, out)
  const near = gather(slice(both, -1, out), neighbours, -2, { batchDims: features.rank - 2 })
  const strongest = add(own, max(near, -2))
  return relu(bias ? add(strongest, bias) : strongest)
}
