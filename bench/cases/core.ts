import type { SampleTensor } from '../samples.ts'
import { type BenchCase, constant, weight } from './case.ts'

interface Operation {
  readonly name: string
  readonly shape: string
  readonly op: string
  readonly attributes?: BenchCase['attributes']
  readonly inputs: readonly SampleTensor[]
  /** Floating-point operations of the forward pass; backward costs as much again for each differentiated operand. */
  readonly flops?: number
}

interface Convolution {
  readonly name: string
  readonly batch: number
  readonly channels: readonly [number, number]
  readonly size: number
  readonly kernel: number
  readonly stride?: number
  readonly groups?: number
}

function convolution({ name, batch, channels, size, kernel, stride = 1, groups = 1 }: Convolution): Operation {
  const [from, to] = channels
  const perGroup = from / groups
  const outSize = size / stride
  return {
    name,
    shape: `[${batch},${from},${size},${size}] * [${to},${perGroup},${kernel},${kernel}] / ${stride}`,
    op: 'conv',
    attributes: { stride, padding: (kernel - 1) / 2, groups },
    inputs: [
      weight('input', [batch, from, size, size], 1),
      weight('weight', [to, perGroup, kernel, kernel], 1 / Math.sqrt(perGroup * kernel * kernel)),
    ],
    flops: 2 * batch * to * outSize * outSize * perGroup * kernel * kernel,
  }
}

function product(name: string, left: number[], right: number[], transposeB: boolean): Operation {
  const inner = left[left.length - 1]
  const columns = transposeB ? right[right.length - 2] : right[right.length - 1]
  return {
    name,
    shape: `[${left}] x [${right}]${transposeB ? 'ᵀ' : ''}`,
    op: 'matmul',
    attributes: { transposeB },
    inputs: [weight('left', left, 1), weight('right', right, 1 / Math.sqrt(inner))],
    flops: 2 * left.reduce((rows, length) => rows * length, 1) * columns,
  }
}

const softmax = (name: string, shape: number[]): Operation => ({
  name,
  shape: `[${shape}]`,
  op: 'softmax',
  inputs: [weight('input', shape, 4)],
})

const operations: readonly Operation[] = [
  product('matmul', [1024, 1024], [1024, 1024], false),
  product('matmul-transposed', [1024, 1024], [1024, 1024], true),
  product('matmul-batched', [64, 128, 64], [64, 64, 128], false),
  convolution({ name: 'conv-3x3', batch: 64, channels: [64, 64], size: 16, kernel: 3 }),
  convolution({ name: 'conv-1x1', batch: 64, channels: [128, 128], size: 16, kernel: 1 }),
  convolution({ name: 'conv-depthwise', batch: 32, channels: [128, 128], size: 32, kernel: 3, groups: 128 }),
  convolution({ name: 'conv-strided', batch: 32, channels: [64, 128], size: 32, kernel: 3, stride: 2 }),
  softmax('softmax-attention', [64 * 12 * 64, 64]),
  softmax('softmax-wide', [4096, 1024]),
  {
    name: 'layer-norm',
    shape: '[4096,768]',
    op: 'layerNorm',
    attributes: { eps: 1e-5 },
    inputs: [weight('input', [4096, 768], 1), constant('scale', [768], 1), weight('shift', [768], 1)],
  },
  { name: 'gelu', shape: '[4096,3072]', op: 'gelu', inputs: [weight('input', [4096, 3072], 3)] },
  {
    name: 'scan',
    shape: '[16,196,3072]',
    op: 'scan',
    inputs: [
      { name: 'decay', shape: [16, 196, 3072], low: 0.8, high: 1, gradient: true },
      weight('drive', [16, 196, 3072], 1),
    ],
  },
  {
    name: 'gather',
    shape: '[30000,256] at [8192]',
    op: 'gather',
    inputs: [weight('table', [30000, 256], 1), { name: 'ids', shape: [8192], low: 0, high: 30000, dtype: 'i32' }],
  },
  {
    name: 'resize-bilinear',
    shape: '[16,64,32,32] -> 64x64',
    op: 'resize',
    attributes: { size: 64 },
    inputs: [weight('input', [16, 64, 32, 32], 1)],
  },
]

/** Each hot primitive twice: forward alone, then forward and backward. */
export const coreCases: readonly BenchCase[] = operations.flatMap(({ name, shape, op, attributes, inputs, flops }) =>
  (['forward', 'both'] as const).map(mode => ({
    suite: 'core' as const,
    name: mode === 'forward' ? name : `${name}+backward`,
    shape,
    op,
    attributes: attributes ?? {},
    inputs,
    mode,
    flops: (flops ?? 0) * (mode === 'forward' ? 1 : 3),
  })),
)
