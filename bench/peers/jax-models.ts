import { lax, nn, numpy as np } from '@jax-js/jax'
import type { BenchCase } from '../cases/case.ts'

type Arrays = Record<string, np.Array>
type Attributes = BenchCase['attributes']

/** The loss of a model of suite train. It may use each parameter and each array of the batch once without `.ref`. */
type Loss = (parameters: Arrays, batch: Arrays, attributes: Attributes) => np.Array

const transposed = (x: np.Array) => np.matrixTranspose(x)

/** `x right` for a matrix `right`, as one product of all rows of x: the library's own product of different ranks mixes its axes up. */
function rows(x: np.Array, right: np.Array): np.Array {
  const leading = x.shape.slice(0, -1)
  const to = right.shape[1]
  return np.matmul(x.reshape([-1, right.shape[0]]), right).reshape([...leading, to])
}

/** The two interpolation weights of each output position, as a matrix `[to, from]`: half-pixel centres, clamped. */
function interpolation(from: number, to: number): np.Array {
  const values = new Float32Array(to * from)
  for (let position = 0; position < to; position++) {
    const source = Math.max(((position + 0.5) * from) / to - 0.5, 0)
    const low = Math.min(Math.floor(source), from - 1)
    const share = source - low
    values[position * from + low] += 1 - share
    values[position * from + Math.min(low + 1, from - 1)] += share
  }
  return np.array(values, { shape: [to, from] })
}

/** `h_t = decay_t h_(t-1) + drive_t` along axis 1 from zero, unrolled; the library has no loop primitive. */
function scan(decay: np.Array, drive: np.Array): np.Array {
  const decays = np.unstack(decay, 1)
  const drives = np.unstack(drive, 1)
  const states: np.Array[] = []
  for (const [time, step] of drives.entries()) {
    if (time === 0) decays[0].dispose()
    states.push(time === 0 ? step : decays[time].mul(states[time - 1].ref).add(step))
  }
  return np.stack(states, 1)
}

/** The function of a case of suite core: it takes its operands in order and owns them. */
export function operations({ op, attributes }: BenchCase): (...operands: np.Array[]) => np.Array {
  if (op === 'matmul') {
    return (left, right) => np.matmul(left, attributes['transposeB'] === true ? transposed(right) : right)
  }
  if (op === 'conv') {
    const [stride, padding, groups] = ['stride', 'padding', 'groups'].map(key => Number(attributes[key]))
    const edges: [number, number] = [padding, padding]
    return (x, w) => lax.convGeneralDilated(x, w, [stride, stride], [edges, edges], { featureGroupCount: groups })
  }
  if (op === 'softmax') return x => nn.softmax(x)
  if (op === 'layerNorm') {
    return (x, scale, shift) =>
      nn
        .standardize(x, -1, { epsilon: Number(attributes['eps']) })
        .mul(scale)
        .add(shift)
  }
  if (op === 'gelu') return x => nn.gelu(x, { approximate: false })
  if (op === 'scan') return scan
  if (op === 'gather') return (table, ids) => np.take(table, ids, 0)
  if (op === 'resize') {
    return x => {
      const matrix = interpolation(x.shape[2], Number(attributes['size']))
      const wide = rows(x, transposed(matrix.ref))
      return transposed(rows(transposed(wide), transposed(matrix)))
    }
  }
  throw new Error(`no such operation: ${op}`)
}

function linear(p: Arrays, name: string, x: np.Array): np.Array {
  const y = rows(x, transposed(p[`${name}.weight`]))
  const bias = p[`${name}.bias`]
  return bias === undefined ? y : y.add(bias)
}

function layerNorm(p: Arrays, name: string, x: np.Array, epsilon: number): np.Array {
  return nn.standardize(x, -1, { epsilon }).mul(p[`${name}.weight`]).add(p[`${name}.bias`])
}

function crossEntropy(logits: np.Array, labels: np.Array): np.Array {
  const [count, classes] = logits.shape
  return nn
    .logSoftmax(logits)
    .mul(nn.oneHot(labels, classes))
    .sum()
    .mul(-1 / count)
}

const mlp: Loss = (p, batch) => {
  let x = batch['input']
  const last = Object.keys(p).length / 2 - 1
  for (let layer = 0; layer <= last; layer++) {
    x = linear(p, `layers.${layer}`, x)
    if (layer < last) x = nn.relu(x)
  }
  return crossEntropy(x, batch['labels'])
}

const cnn: Loss = (p, batch, attributes) => {
  const convolve = (name: string, x: np.Array, stride = 1): np.Array => {
    const weight = p[`${name}.weight`]
    const edge = (weight.shape[2] - 1) / 2
    const edges: [number, number] = [edge, edge]
    const y = lax.convGeneralDilated(x, weight, [stride, stride], [edges, edges])
    const channel = (values: np.Array) => values.reshape([1, -1, 1, 1])
    const unit = nn.standardize(y, [0, 2, 3], { epsilon: 1e-5 })
    return unit.mul(channel(p[`${name}.norm.weight`])).add(channel(p[`${name}.norm.bias`]))
  }
  let x = nn.relu(convolve('stem', batch['input']))
  for (let stage = 0; stage < Number(attributes['stages']); stage++) {
    for (let block = 0; block < Number(attributes['blocks']); block++) {
      const name = `stages.${stage}.${block}`
      const shrinks = stage > 0 && block === 0
      const stride = shrinks ? 2 : 1
      const branch = convolve(`${name}.second`, nn.relu(convolve(`${name}.first`, x.ref, stride)))
      x = nn.relu(branch.add(shrinks ? convolve(`${name}.shortcut`, x, stride) : x))
    }
  }
  return crossEntropy(linear(p, 'head', np.mean(x, [2, 3])), batch['labels'])
}

const vit: Loss = (p, batch, attributes) => {
  const [patch, width, blocks, heads] = ['patch', 'width', 'blocks', 'heads'].map(key => Number(attributes[key]))
  const [count, , height] = batch['input'].shape
  const side = height / patch
  const patches = batch['input'].reshape([count, 3, side, patch, side, patch]).transpose([0, 2, 4, 1, 3, 5])
  const headWidth = width / heads
  let x = linear(p, 'embed', patches.reshape([count, side * side, 3 * patch * patch])).add(p['position'])
  for (let block = 0; block < blocks; block++) {
    const name = `blocks.${block}`
    const qkv = linear(p, `${name}.qkv`, layerNorm(p, `${name}.norm1`, x.ref, 1e-6))
    const [q, k, v] = np.unstack(qkv.reshape([count, -1, 3, heads, headWidth]).transpose([2, 0, 3, 1, 4]))
    const attention = nn.softmax(np.matmul(q, transposed(k)).mul(headWidth ** -0.5))
    const mixed = np.matmul(attention, v).transpose([0, 2, 1, 3]).reshape([count, -1, width])
    x = x.add(linear(p, `${name}.proj`, mixed))
    const hidden = linear(p, `${name}.fc1`, layerNorm(p, `${name}.norm2`, x.ref, 1e-6))
    x = x.add(linear(p, `${name}.fc2`, nn.gelu(hidden, { approximate: false })))
  }
  return crossEntropy(linear(p, 'head', np.mean(layerNorm(p, 'norm', x, 1e-6), 1)), batch['labels'])
}

const mamba: Loss = (p, batch, attributes) => {
  const [inner, state, kernel, rank] = ['inner', 'state', 'kernel', 'rank'].map(key => Number(attributes[key]))
  const x = batch['input']
  const length = x.shape[1]
  const [hidden, gate] = np.split(linear(p, 'in_proj', layerNorm(p, 'norm', x.ref, 1e-5)), 2, -1)

  const direction = (name: string, sequence: np.Array): np.Array => {
    const padded = np.pad(sequence, { 1: [kernel - 1, 0] })
    const taps = p[`${name}.conv.weight`].reshape([inner, kernel])
    let convolved: np.Array = p[`${name}.conv.bias`]
    for (let tap = 0; tap < kernel; tap++) {
      convolved = padded.ref
        .slice([], [tap, tap + length])
        .mul(taps.ref.slice([], tap))
        .add(convolved)
    }
    padded.dispose()
    taps.dispose()
    const u = nn.silu(convolved)
    const [low, b, c] = np.split(linear(p, `${name}.x_proj`, u.ref), [rank, rank + state], -1)
    const step = nn.softplus(linear(p, `${name}.dt_proj`, low))
    const decay = np.exp(np.expandDims(step.ref, -1).mul(np.exp(p[`${name}.A_log`]).mul(-1)))
    const drive = np.expandDims(step.mul(u.ref), -1).mul(np.expandDims(b, 2))
    const read = scan(decay, drive).mul(np.expandDims(c, 2)).sum(-1)
    return read.add(u.mul(p[`${name}.D`]))
  }

  const backward = np.flip(direction('backward', np.flip(hidden.ref, 1)), 1)
  const mixed = direction('forward', hidden).add(backward)
  const output = x.add(linear(p, 'out_proj', mixed.mul(nn.silu(gate))))
  return np.square(output.sub(batch['target'])).mean()
}

export const jaxLosses: Readonly<Record<string, Loss>> = { mlp, cnn, vit, mamba }
