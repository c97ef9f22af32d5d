import { einsum } from '../../einops.ts'
import { add, matmul, mul } from '../../ops/index.ts'
import type { Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

/** alpha A' B' + beta C */
function gemm(node: NodeReader): Tensor {
  node.requireRank(0, 2)
  node.requireRank(1, 2)
  const product = matmul(node.input(0), node.input(1), {
    transposeA: node.flag('transA'),
    transposeB: node.flag('transB'),
  })
  const alpha = node.float('alpha', 1)
  const beta = node.float('beta', 1)
  const scaled = alpha === 1 ? product : mul(product, alpha)
  const bias = node.optional(2)
  if (!bias || beta === 0) return scaled
  return add(scaled, beta === 1 ? bias : mul(bias, beta))
}

export const matmulReaders: OperatorReaders = {
  Einsum: node => einsum(node.string('equation', ''), ...node.all()),
  Gemm: gemm,
  MatMul: node => matmul(node.input(0), node.input(1)),
}
