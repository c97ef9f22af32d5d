import { einsum } from '../../einops.ts'
import {
  abs,
  add,
  argMax,
  div,
  equal,
  expandDims,
  matmul,
  mul,
  oneHot,
  reshape,
  slice,
  squeeze,
  sub,
  sum,
  where,
} from '../../ops/index.ts'
import { formatShape } from '../../shape.ts'
import { asTensor, type Tensor } from '../../tensor.ts'
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

const LARGEST_DETERMINANT = 32

/** Determinant of the last two axes by elimination, the largest entry of each column taken as the pivot. */
function determinant(node: NodeReader): Tensor {
  const x = node.input(0)
  const size = x.shape[x.rank - 1]
  if (x.rank < 2 || x.shape[x.rank - 2] !== size) throw new Error(`${formatShape(x.shape)} holds no square matrices`)
  if (!(size >= 1 && size <= LARGEST_DETERMINANT))
    throw new Error(`matrices of ${size} rows; 1 to ${LARGEST_DETERMINANT} are supported`)
  let rest = x
  let result: Tensor | undefined
  for (let left = size; left >= 1; left--) {
    const place = argMax(abs(squeeze(slice(rest, -1, 0, 1), -1)), -1)
    const chosen = expandDims(oneHot(place, left, x.dtype), -1)
    const pivotRow = sum(mul(chosen, rest), -2, true)
    const pivot = slice(pivotRow, -1, 0, 1)
    // Bringing the pivot to the top exchanges two rows, unless it stands there.
    const turn = reshape(where(equal(place, 0), asTensor(1, x.dtype), asTensor(-1, x.dtype)), pivot.shape)
    const factor = mul(pivot, turn)
    result = result ? mul(result, factor) : factor
    if (left === 1) break
    const exchanged = add(rest, mul(chosen, sub(slice(rest, -2, 0, 1), pivotRow)))
    const below = slice(exchanged, -2, 1, left)
    const ratio = div(slice(below, -1, 0, 1), where(equal(pivot, 0), asTensor(1, x.dtype), pivot))
    rest = sub(slice(below, -1, 1, left), mul(ratio, slice(pivotRow, -1, 1, left)))
  }
  return squeeze(result!, [-2, -1])
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
  Det: determinant,
  Einsum: node => einsum(explicitEquation(node.string('equation', '')), ...node.all()),
  Gemm: gemm,
  MatMul: node => matmul(node.input(0), node.input(1)),
}
