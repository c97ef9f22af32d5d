import {
  add,
  batchNorm,
  conv,
  exp,
  expandDims,
  flip,
  gelu,
  layerNorm,
  logSoftmax,
  matmul,
  mean,
  mul,
  neg,
  oneHot,
  rearrange,
  relu,
  sigmoid,
  softmax,
  split,
  sub,
  sum,
  type Tensor,
  Variable,
} from '../../src/core/index.ts'
import { scanSteps } from '../../src/nn/selective-scan.ts'
import type { BenchCase } from '../cases/case.ts'

export type Named = Readonly<Record<string, Tensor>>

/** A model of suite train: its loss on a batch. It may keep variables (running statistics) and update them. */
export type Loss = (parameters: Named, batch: Named, attributes: BenchCase['attributes']) => Tensor

const numbers = (attributes: BenchCase['attributes'], ...names: readonly string[]): number[] =>
  names.map(name => Number(attributes[name]))

function linear(p: Named, name: string, x: Tensor): Tensor {
  const y = matmul(x, p[`${name}.weight`], { transposeB: true })
  const bias = p[`${name}.bias`]
  return bias === undefined ? y : add(y, bias)
}

const norm = (p: Named, name: string, x: Tensor, epsilon: number): Tensor =>
  layerNorm(x, { weight: p[`${name}.weight`], bias: p[`${name}.bias`], epsilon })

const silu = (x: Tensor): Tensor => mul(x, sigmoid(x))

const crossEntropy = (logits: Tensor, labels: Tensor): Tensor =>
  neg(mean(sum(mul(logSoftmax(logits, 1), oneHot(labels, logits.shape[1])), 1)))

const mlp: Loss = (p, batch) => {
  let x = batch['input']
  const last = Object.keys(p).length / 2 - 1
  for (let layer = 0; layer <= last; layer++) {
    x = linear(p, `layers.${layer}`, x)
    if (layer < last) x = relu(x)
  }
  return crossEntropy(x, batch['labels'])
}

/** A convolution and its batch norm; running statistics move a tenth of the way to each batch's. */
function convolveAndNormalise(p: Named, name: string, x: Tensor, stride = 1): Tensor {
  const weight = p[`${name}.weight`]
  const y = conv(x, weight, { stride, padding: (weight.shape[2] - 1) / 2 })
  const found = batchNorm(y, { weight: p[`${name}.norm.weight`], bias: p[`${name}.norm.bias`] })
  const channels = weight.shape[0]
  for (const [statistic, start] of [
    [found.mean, 0],
    [found.variance, 1],
  ] as const) {
    const running = new Variable(new Float32Array(channels).fill(start), [channels], 'f32', `${name}.running`)
    running.update(before => before.mul(0.9).add(statistic.stopGradient().mul(0.1)))
  }
  return found.output
}

const cnn: Loss = (p, batch, attributes) => {
  const [stages, blocks] = numbers(attributes, 'stages', 'blocks')
  let x = relu(convolveAndNormalise(p, 'stem', batch['input']))
  for (let stage = 0; stage < stages; stage++) {
    for (let block = 0; block < blocks; block++) {
      const name = `stages.${stage}.${block}`
      const shrinks = stage > 0 && block === 0
      const stride = shrinks ? 2 : 1
      const first = relu(convolveAndNormalise(p, `${name}.first`, x, stride))
      const branch = convolveAndNormalise(p, `${name}.second`, first)
      x = relu(add(branch, shrinks ? convolveAndNormalise(p, `${name}.shortcut`, x, stride) : x))
    }
  }
  return crossEntropy(linear(p, 'head', mean(x, [2, 3])), batch['labels'])
}

const vit: Loss = (p, batch, attributes) => {
  const [patch, width, blocks, heads] = numbers(attributes, 'patch', 'width', 'blocks', 'heads')
  const patches = rearrange(batch['input'], 'b c (h i) (w j) -> b (h w) (c i j)', { i: patch, j: patch })
  let x = add(linear(p, 'embed', patches), p['position'])
  for (let block = 0; block < blocks; block++) {
    const name = `blocks.${block}`
    const qkv = linear(p, `${name}.qkv`, norm(p, `${name}.norm1`, x, 1e-6))
    const [q, k, v] = split(qkv, 3, -1).map(part => rearrange(part, 'b n (h d) -> b h n d', { h: heads }))
    const attention = softmax(mul(matmul(q, k, { transposeB: true }), (width / heads) ** -0.5))
    x = add(x, linear(p, `${name}.proj`, rearrange(matmul(attention, v), 'b h n d -> b n (h d)')))
    const hidden = gelu(linear(p, `${name}.fc1`, norm(p, `${name}.norm2`, x, 1e-6)))
    x = add(x, linear(p, `${name}.fc2`, hidden))
  }
  return crossEntropy(linear(p, 'head', mean(norm(p, 'norm', x, 1e-6), 1)), batch['labels'])
}

/** One direction of the block: a short causal convolution, then the selective state space; [batch, length, inner]. */
function direction(p: Named, name: string, sequence: Tensor, attributes: BenchCase['attributes']): Tensor {
  const [inner, state, kernel, rank] = numbers(attributes, 'inner', 'state', 'kernel', 'rank')
  const convolved = conv(rearrange(sequence, 'b l d -> b d l 1'), expandDims(p[`${name}.conv.weight`], -1), {
    bias: p[`${name}.conv.bias`],
    padding: [
      [kernel - 1, 0],
      [0, 0],
    ],
    groups: inner,
  })
  const u = silu(rearrange(convolved, 'b d l 1 -> l b d'))
  const [low, input, output] = split(linear(p, `${name}.x_proj`, u), [rank, state, state], -1)
  const step = linear(p, `${name}.dt_proj`, low)
  const A = neg(exp(p[`${name}.A_log`]))
  const options = { D: p[`${name}.D`], softplus: true }
  return rearrange(scanSteps(u, step, A, input, output, options).output, 'l b d -> b l d')
}

const mamba: Loss = (p, batch, attributes) => {
  const x = batch['input']
  const [hidden, gate] = split(linear(p, 'in_proj', norm(p, 'norm', x, 1e-5)), 2, -1)
  const backward = flip(direction(p, 'backward', flip(hidden, 1), attributes), 1)
  const mixed = add(direction(p, 'forward', hidden, attributes), backward)
  const output = add(x, linear(p, 'out_proj', mul(mixed, silu(gate))))
  const difference = sub(output, batch['target'])
  return mean(mul(difference, difference))
}

export const tenetLosses: Readonly<Record<string, Loss>> = { mlp, cnn, vit, mamba }
