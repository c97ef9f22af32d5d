import type { SampleTensor } from '../samples.ts'
import { type BenchCase, constant, weight } from './case.ts'

/** The parameters of a model in the order they are made, and the multiply-adds of its forward pass. */
class Parameters {
  readonly tensors: SampleTensor[] = []
  multiplyAdds = 0

  /** A PyTorch-style linear layer, weight [to, from] and bias, applied to `rows` vectors. */
  linear(name: string, from: number, to: number, rows: number, bias = true): void {
    this.tensors.push(weight(`${name}.weight`, [to, from], 1 / Math.sqrt(from)))
    if (bias) this.tensors.push(constant(`${name}.bias`, [to], 0))
    this.multiplyAdds += rows * from * to
  }

  /** A square convolution without bias followed by a batch norm's scale and shift, `positions` outputs in the whole batch. */
  convolutionAndNorm(name: string, from: number, to: number, kernel: number, positions: number): void {
    const fanIn = from * kernel * kernel
    this.tensors.push(weight(`${name}.weight`, [to, from, kernel, kernel], Math.sqrt(6 / fanIn)))
    this.norm(`${name}.norm`, to)
    this.multiplyAdds += positions * to * fanIn
  }

  norm(name: string, width: number): void {
    this.tensors.push(constant(`${name}.weight`, [width], 1), constant(`${name}.bias`, [width], 0))
  }

  step(name: string, shape: string, attributes: BenchCase['attributes'], batch: readonly SampleTensor[]): BenchCase {
    return {
      suite: 'train',
      name,
      shape,
      op: name,
      attributes,
      inputs: [...this.tensors, ...batch],
      mode: 'step',
      flops: 6 * this.multiplyAdds,
    }
  }
}

const classes = 10

function labelled(batch: number, shape: readonly number[]): SampleTensor[] {
  return [
    { name: 'input', shape: [batch, ...shape], low: -1, high: 1 },
    { name: 'labels', shape: [batch], low: 0, high: classes, dtype: 'i32' },
  ]
}

/** A multilayer perceptron with ReLU, trained by AdamW. */
function mlp(batch: number, widths: readonly number[]): BenchCase {
  const parameters = new Parameters()
  for (let layer = 0; layer + 1 < widths.length; layer++) {
    parameters.linear(`layers.${layer}`, widths[layer], widths[layer + 1], batch)
  }
  return parameters.step('mlp', `${widths.join('-')}, batch ${batch}`, {}, labelled(batch, [widths[0]]))
}

/** A residual network for small images: a 3x3 stem, then stages of two-convolution blocks with batch norm. */
function cnn(batch: number, size: number, stages: readonly number[], blocks: number): BenchCase {
  const parameters = new Parameters()
  let from = stages[0]
  let side = size
  parameters.convolutionAndNorm('stem', 3, from, 3, batch * side * side)
  for (const [stage, width] of stages.entries()) {
    for (let block = 0; block < blocks; block++) {
      const name = `stages.${stage}.${block}`
      const shrinks = stage > 0 && block === 0
      if (shrinks) side /= 2
      const positions = batch * side * side
      parameters.convolutionAndNorm(`${name}.first`, from, width, 3, positions)
      parameters.convolutionAndNorm(`${name}.second`, width, width, 3, positions)
      if (shrinks) parameters.convolutionAndNorm(`${name}.shortcut`, from, width, 1, positions)
      from = width
    }
  }
  parameters.linear('head', from, classes, batch)
  const shape = `[${batch},3,${size},${size}], stages ${stages.join('-')}`
  return parameters.step('cnn', shape, { stages: stages.length, blocks }, labelled(batch, [3, size, size]))
}

interface VitShape {
  readonly batch: number
  readonly size: number
  readonly patch: number
  readonly width: number
  readonly blocks: number
  readonly heads: number
}

/** A pre-norm vision transformer with exact GELU and mean pooling over its tokens. */
function vit({ batch, size, patch, width, blocks, heads }: VitShape): BenchCase {
  const parameters = new Parameters()
  const tokens = (size / patch) ** 2
  const rows = batch * tokens
  parameters.linear('embed', 3 * patch * patch, width, rows)
  parameters.tensors.push(weight('position', [1, tokens, width], 0.02))
  for (let block = 0; block < blocks; block++) {
    const name = `blocks.${block}`
    parameters.norm(`${name}.norm1`, width)
    parameters.linear(`${name}.qkv`, width, 3 * width, rows)
    parameters.multiplyAdds += 2 * batch * tokens * tokens * width
    parameters.linear(`${name}.proj`, width, width, rows)
    parameters.norm(`${name}.norm2`, width)
    parameters.linear(`${name}.fc1`, width, 4 * width, rows)
    parameters.linear(`${name}.fc2`, 4 * width, width, rows)
  }
  parameters.norm('norm', width)
  parameters.linear('head', width, classes, batch)
  const shape = `[${batch},3,${size},${size}], patch ${patch}, dim ${width}, ${blocks} blocks`
  return parameters.step('vit', shape, { patch, width, blocks, heads }, labelled(batch, [3, size, size]))
}

export interface MambaShape {
  readonly batch: number
  readonly length: number
  readonly width: number
  readonly inner: number
  readonly state: number
  readonly kernel: number
  readonly rank: number
}

/**
 * One bidirectional Mamba block (Vision Mamba): both directions share the input and output projections and have their
 * own causal convolution, step size, input and output maps; trained towards a target sequence by squared error.
 */
export function mamba({ batch, length, width, inner, state, kernel, rank }: MambaShape): BenchCase {
  const parameters = new Parameters()
  const rows = batch * length
  parameters.norm('norm', width)
  parameters.linear('in_proj', width, 2 * inner, rows, false)
  for (const direction of ['forward', 'backward']) {
    parameters.tensors.push(weight(`${direction}.conv.weight`, [inner, 1, kernel], 1 / Math.sqrt(kernel)))
    parameters.tensors.push(constant(`${direction}.conv.bias`, [inner], 0))
    parameters.multiplyAdds += rows * inner * kernel
    parameters.linear(`${direction}.x_proj`, inner, rank + 2 * state, rows, false)
    parameters.linear(`${direction}.dt_proj`, rank, inner, rows)
    parameters.tensors.push({ name: `${direction}.A_log`, shape: [inner, state], low: 0, high: 2.5, gradient: true })
    parameters.tensors.push(constant(`${direction}.D`, [inner], 1))
  }
  parameters.linear('out_proj', inner, width, rows, false)
  const sequence = [batch, length, width]
  const shape = `[${sequence}], expand ${inner / width}, state ${state}`
  return parameters.step('mamba', shape, { inner, state, kernel, rank }, [
    { name: 'input', shape: sequence, low: -1, high: 1 },
    { name: 'target', shape: sequence, low: -1, high: 1 },
  ])
}

/** Whole training steps: forward, backward and AdamW (rate 1e-3, betas 0.9 and 0.999, decay 0.01 on every parameter). */
export const trainCases: readonly BenchCase[] = [
  mlp(256, [784, 1024, 1024, classes]),
  cnn(128, 32, [32, 64, 128], 2),
  vit({ batch: 64, size: 64, patch: 8, width: 192, blocks: 6, heads: 3 }),
  mamba({ batch: 16, length: 196, width: 96, inner: 192, state: 16, kernel: 4, rank: 6 }),
]
