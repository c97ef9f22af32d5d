import { einsum } from '../../einops.ts'
import { determinant } from '../../linalg/index.ts'
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

/** Without an arrow the output has every letter that stands once, in alphabetical order, after what the dots stand for. */
function explicitEquation(equation: string): string {
  const bare = equation.replace(/\s/g, '')
  if (bare.includes('->')) return bare
  const letters = bare.replace(/[^A-Za-z]/g, '')
  const once = [...new Set(letters)].filter(letter => letters.split(letter).length === 2).sort()
  return `${bare}->${bare.includes('...') ? '...' : ''}${once.join('')}`
}

export const matmulReaders: OperatorReaders = {
  Det: node => determinant(node.input(0)),
  Einsum: node => einsum(explicitEquation(node.string('equation', '')), ...node.all()),
  Gemm: gemm,
  MatMul: node => matmul(node.input(0), node.input(1)),
}
