import * as tf from '@tensorflow/tfjs'
import type { BenchCase } from '../cases/case.ts'
import { batchNorm, convolution, erfGelu, type Named, product, scan } from './tfjs-operations.ts'

/** The loss of a model of suite train on a batch. Images are channels-last. */
export type Loss = (parameters: Named, batch: Named, attributes: BenchCase['attributes']) => tf.Tensor

function linear(p: Named, name: string, x: tf.Tensor): tf.Tensor {
  const weight = p[`${name}.weight`]
  const bias = p[`${name}.bias`]
  const [to, from] = weight.shape
  const y = product(x.reshape([-1, from]), weight, true)
  return (bias === undefined ? y : y.add(bias)).reshape([...x.shape.slice(0, -1), to])
}

function layerNorm(p: Named, name: string, x: tf.Tensor, eps: number): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true)
  return x.sub(mean).mul(variance.add(eps).rsqrt()).mul(p[`${name}.weight`]).add(p[`${name}.bias`])
}

function crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  const picked = tf.oneHot(labels as tf.Tensor1D, logits.shape[1]!)
  return tf.logSoftmax(logits).mul(picked).sum(-1).mean().neg()
}

function mlp(p: Named, batch: Named): tf.Tensor {
  let x = batch['input']
  const last = Object.keys(p).length / 2 - 1
  for (let layer = 0; layer <= last; layer++) {
    x = linear(p, `layers.${layer}`, x)
    if (layer < last) x = tf.relu(x)
  }
  return crossEntropy(x, batch['labels'])
}

function cnn(p: Named, batch: Named, attributes: BenchCase['attributes']): tf.Tensor {
  const convolve = (name: string, x: tf.Tensor, stride = 1): tf.Tensor => {
    const y = convolution(x as tf.Tensor4D, p[`${name}.weight`] as tf.Tensor4D, stride, false)
    return batchNorm(y, p[`${name}.norm.weight`], p[`${name}.norm.bias`])
  }
  let x = tf.relu(convolve('stem', batch['input']))
  for (let stage = 0; stage < Number(attributes['stages']); stage++) {
    for (let block = 0; block < Number(attributes['blocks']); block++) {
      const name = `stages.${stage}.${block}`
      const shrinks = stage > 0 && block === 0
      const stride = shrinks ? 2 : 1
      const branch = convolve(`${name}.second`, tf.relu(convolve(`${name}.first`, x, stride)))
      x = tf.relu(branch.add(shrinks ? convolve(`${name}.shortcut`, x, stride) : x))
    }
  }
  return crossEntropy(linear(p, 'head', x.mean([1, 2])), batch['labels'])
}

function vit(p: Named, batch: Named, attributes: BenchCase['attributes']): tf.Tensor {
  const [patch, width, blocks, heads] = ['patch', 'width', 'blocks', 'heads'].map(key => Number(attributes[key]))
  const [count, height] = batch['input'].shape
  const side = height / patch
  const patches = batch['input'].reshape([count, side, patch, side, patch, 3])
  // channels come first within a patch, as in the other peers
  const flat = tf.transpose(patches, [0, 1, 3, 5, 2, 4]).reshape([count, side * side, 3 * patch * patch])
  let x = linear(p, 'embed', flat).add(p['position'])
  const headWidth = width / heads
  for (let block = 0; block < blocks; block++) {
    const name = `blocks.${block}`
    const qkv = linear(p, `${name}.qkv`, layerNorm(p, `${name}.norm1`, x, 1e-6))
    const split = tf.transpose(qkv.reshape([count, -1, 3, heads, headWidth]), [2, 0, 3, 1, 4])
    const [q, k, v] = tf.unstack(split)
    const attention = tf.softmax(product(q, k, true).mul(headWidth ** -0.5))
    const mixed = tf.transpose(product(attention, v), [0, 2, 1, 3]).reshape([count, -1, width])
    x = x.add(linear(p, `${name}.proj`, mixed))
    const hidden = erfGelu(linear(p, `${name}.fc1`, layerNorm(p, `${name}.norm2`, x, 1e-6)))
    x = x.add(linear(p, `${name}.fc2`, hidden))
  }
  return crossEntropy(linear(p, 'head', layerNorm(p, 'norm', x, 1e-6).mean(1)), batch['labels'])
}

function mamba(p: Named, batch: Named, attributes: BenchCase['attributes']): tf.Tensor {
  const [inner, state, kernel, rank] = ['inner', 'state', 'kernel', 'rank'].map(key => Number(attributes[key]))
  const x = batch['input']
  const [count, length] = x.shape
  const [hidden, gate] = tf.split(linear(p, 'in_proj', layerNorm(p, 'norm', x, 1e-5)), 2, -1)
  const silu = (y: tf.Tensor) => y.mul(tf.sigmoid(y))

  const direction = (name: string, sequence: tf.Tensor): tf.Tensor => {
    const padded = tf.pad(sequence, [
      [0, 0],
      [kernel - 1, 0],
      [0, 0],
    ])
    const taps = p[`${name}.conv.weight`].reshape([inner, kernel])
    let convolved: tf.Tensor = p[`${name}.conv.bias`]
    for (let tap = 0; tap < kernel; tap++) {
      const shifted = tf.slice(padded, [0, tap, 0], [count, length, inner])
      convolved = shifted.mul(tf.slice(taps, [0, tap], [inner, 1]).reshape([inner])).add(convolved)
    }
    const u = silu(convolved)
    const [low, b, c] = tf.split(linear(p, `${name}.x_proj`, u), [rank, state, state], -1)
    const step = tf.softplus(linear(p, `${name}.dt_proj`, low))
    const decay = tf.exp(step.expandDims(-1).mul(tf.exp(p[`${name}.A_log`]).neg()))
    const drive = step.mul(u).expandDims(-1).mul(b.expandDims(2))
    const states = scan(decay, drive)
    return states
      .mul(c.expandDims(2))
      .sum(-1)
      .add(u.mul(p[`${name}.D`]))
  }

  const backward = tf.reverse(direction('backward', tf.reverse(hidden, 1)), 1)
  const mixed = direction('forward', hidden).add(backward)
  const output = x.add(linear(p, 'out_proj', mixed.mul(silu(gate))))
  return output.sub(batch['target']).square().mean()
}

export const tfjsLosses: Readonly<Record<string, Loss>> = { mlp, cnn, vit, mamba }
