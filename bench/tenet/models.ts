import { add, logSumExp, matmul, maximum, mean, mul, oneHot, sub, sum, type Tensor } from '../../src/core/index.ts'
import type { BenchCase } from '../cases/case.ts'

export type Named = Readonly<Record<string, Tensor>>

/** The loss of a model of suite train on a batch. */
export type Loss = (parameters: Named, batch: Named, attributes: BenchCase['attributes']) => Tensor

function linear(p: Named, name: string, x: Tensor): Tensor {
  const y = matmul(x, p[`${name}.weight`], { transposeB: true })
  const bias = p[`${name}.bias`]
  return bias === undefined ? y : add(y, bias)
}

function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const picked = sum(mul(logits, oneHot(labels, logits.shape[1])), 1)
  return mean(sub(logSumExp(logits, 1), picked))
}

const mlp: Loss = (p, batch) => {
  let x = batch['input']
  const last = Object.keys(p).length / 2 - 1
  for (let layer = 0; layer <= last; layer++) {
    x = linear(p, `layers.${layer}`, x)
    if (layer < last) x = maximum(x, 0)
  }
  return crossEntropy(x, batch['labels'])
}

export const tenetLosses: Readonly<Record<string, Loss>> = { mlp }
