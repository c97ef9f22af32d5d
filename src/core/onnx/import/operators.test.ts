import { describe, it } from 'vitest'
import { integers, randomTensor } from '../../../../test/check.ts'
import { expectAgrees, type Values } from '../../../../test/conformance/agreement.ts'
import { type AttributeValue, type ModelDescription, node } from '../../../../test/onnx-model.ts'
import { type HostTensor, hostTensor, type Shape } from '../../index.ts'

const ints = (...values: number[]): HostTensor => integers(values)
const scalar = (value: number): HostTensor => hostTensor([value], [])
const bytes = (shape: Shape, seed: number): HostTensor =>
  hostTensor(randomTensor(shape, seed, 0, 255.9).numbers(), shape, 'u8')

const x: Values = { x: randomTensor([3, 4], 1) }
const image: Values = { x: randomTensor([2, 4, 6, 7], 2) }
const line: Values = { x: randomTensor([2, 4, 9], 2) }

type Attributes = Record<string, AttributeValue>

/** Models of one node: inputs given at run time, then initializers, in the order of the node's inputs; '' is left out. */
interface Case {
  readonly op: string
  readonly opsets: readonly number[]
  readonly values: Values
  readonly initializers?: Record<string, HostTensor | ''>
  readonly attributes?: Attributes
  /** Names of outputs; default one. */
  readonly outputs?: readonly string[]
}

const cases: Case[] = []
const add = (
  op: string,
  opsets: readonly number[],
  values: Values,
  initializers: Case['initializers'] = {},
  attributes: Attributes = {},
  outputs: readonly string[] = ['y'],
): void => {
  cases.push({ op, opsets, values, initializers, attributes, outputs })
}

function describeCase({ op, values, initializers = {}, attributes, outputs = ['y'] }: Case, opset: number) {
  const present = Object.entries(initializers).filter((entry): entry is [string, HostTensor] => entry[1] !== '')
  const names = [
    ...Object.keys(values),
    ...Object.entries(initializers).map(([name, value]) => (value === '' ? '' : name)),
  ]
  const description: ModelDescription = {
    opset,
    inputs: Object.fromEntries(Object.entries(values).map(([name, { dtype, shape }]) => [name, [dtype, shape]])),
    outputs: outputs.filter(name => name !== ''),
    initializers: Object.fromEntries(present),
    nodes: [node(op, names, outputs, attributes)],
  }
  return description
}

const thin: Values = { x: randomTensor([1, 3], 1) }
add('Squeeze', [7, 12], thin, {}, { axes: [0] })
add('Squeeze', [13, 21], thin, { axes: ints(0) })
add('Unsqueeze', [7, 11], x, {}, { axes: [0, 2] })
add('Unsqueeze', [13, 21], x, { axes: ints(0, -1) })
add('Slice', [7, 9], x, {}, { starts: [1, -3], ends: [3, 100], axes: [0, 1] })
add('Slice', [10, 13], x, { s: ints(-1), e: ints(-100), a: ints(1), t: ints(-2) })
add('Clip', [7], x, {}, { min: { float: -0.5 } })
add('Clip', [13], x, { low: '', high: scalar(0.5) })
for (const mode of ['constant', 'reflect', 'edge']) {
  add('Pad', [7, 10], x, {}, { mode, pads: [1, 0, 2, 1], value: { float: 2 } })
  add('Pad', [11, 13], x, { p: ints(1, 0, 2, 1), v: scalar(2) }, { mode })
}
add('Pad', [18], x, { p: ints(1, 2), v: scalar(2), a: ints(-1) })
add('Pad', [19], x, { p: ints(1, 2, 0, 1) }, { mode: 'wrap' })
add('Split', [7, 11], x, {}, { axis: 1, split: [1, 3] }, ['y', 'z'])
add('Split', [13], x, { s: ints(1, 3) }, { axis: -1 }, ['y', 'z'])
add('Split', [18], x, {}, { axis: 0, num_outputs: 2 }, ['y', 'z'])
for (const op of ['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceL2', 'ReduceLogSumExp', 'ReduceProd']) {
  add(op, [7, 11], x, {}, { axes: [-1], keepdims: 0 })
  add(op, [18], x, { a: ints(1) }, { keepdims: 0 })
}
for (const op of ['Softmax', 'LogSoftmax', 'Hardmax']) add(op, [7, 11, 13], image, {}, { axis: 2 })
add('TopK', [7, 9], x, {}, { k: 2, axis: 0 }, ['y', 'places'])
add('TopK', [10], x, { k: ints(2) }, {}, ['y', 'places'])
add('TopK', [11], x, { k: ints(2) }, { largest: 0 }, ['y', 'places'])
add('CumSum', [14], x, { axis: ints(1) }, { exclusive: 1, reverse: 1 })
add('Einsum', [12], { ...image, z: randomTensor([2, 3, 6, 7], 3) }, {}, { equation: 'bchw,bdhw->bcd' })
add('Gelu', [20], x)
add('Gelu', [20], x, {}, { approximate: 'tanh' })
add('Mish', [18], x)
add('PRelu', [7, 16], image, { slope: randomTensor([4, 1, 1], 3) })
add('Det', [11], { x: randomTensor([2, 5, 5], 4) })
add('Det', [11], { x: hostTensor([0, 2, 3, 0], [2, 2]) })
const pairs = { i: integers([0, 2, 0, 1], [1, 4]), u: hostTensor([9, -9, 9, 9], [1, 4]) }
add('ScatterElements', [11, 13], x, pairs)
for (const reduction of ['add', 'mul']) add('ScatterElements', [16], x, pairs, { reduction })
for (const reduction of ['max', 'min']) add('ScatterElements', [18], x, pairs, { reduction })
add('ScatterND', [16], x, { i: integers([2, -1, 0, 0], [2, 2]), u: hostTensor([7, 8], [2]) }, { reduction: 'add' })
add('ScatterND', [13], x, { i: integers([2, 0], [2, 1]), u: randomTensor([2, 4], 5) })
add('GatherElements', [13], x, { i: integers([2, 0, 1, -1], [2, 2]) })
add('GatherND', [12], image, { i: integers([1, -1, 0, 3], [2, 2, 1]) }, { batch_dims: 1 })

add('QuantizeLinear', [10, 13, 19], x, { s: scalar(0.02), z: hostTensor([100], [], 'u8') })
add('DequantizeLinear', [13, 19], { x: bytes([3, 4], 3) }, { s: randomTensor([4], 3), z: bytes([4], 4) }, { axis: -1 })
add('MatMulInteger', [10], { a: bytes([3, 700], 1), b: bytes([700, 2], 2) })
add('MatMulInteger', [10], { a: bytes([3, 7], 1), b: bytes([7, 2], 2) }, { az: bytes([1], 3), bz: bytes([2], 4) })
const packed = { x: bytes([1, 40, 5, 5], 1), w: bytes([2, 40, 3, 3], 2) }
add('ConvInteger', [10], packed, { xz: bytes([], 3), wz: bytes([], 4) }, { strides: [2, 1] })

const kernels = (shape: Shape) => ({ w: randomTensor(shape, 5, -0.5, 0.5), b: randomTensor([4], 6) })
add('Conv', [7, 11], image, { w: randomTensor([4, 4, 3, 2], 5) }, { pads: [1, 0, 2, 1], strides: [2, 1] })
add('Conv', [11], image, kernels([4, 2, 3, 3]), { group: 2, dilations: [1, 2], kernel_shape: [3, 3] })
add('Conv', [11], image, kernels([4, 1, 3, 3]), { group: 4, auto_pad: 'SAME_UPPER', strides: [2, 2] })
add('Conv', [11], image, kernels([4, 4, 2, 2]), { auto_pad: 'SAME_LOWER' })
add('Conv', [11], line, kernels([4, 4, 3]), { auto_pad: 'VALID' })
add(
  'Conv',
  [11],
  { x: randomTensor([1, 2, 4, 5, 6], 7) },
  { w: randomTensor([3, 2, 2, 3, 2], 8) },
  { strides: [1, 2, 2] },
)
add('ConvTranspose', [7, 11], image, kernels([4, 4, 3, 3]), { strides: [2, 3], pads: [1, 0, 0, 2] })
add('ConvTranspose', [11], image, kernels([4, 2, 3, 2]), { group: 2, strides: [2, 2], output_padding: [1, 1] })
add('ConvTranspose', [11], line, kernels([4, 4, 3]), { strides: [3], output_shape: [26], dilations: [2] })
add('ConvTranspose', [11], line, kernels([4, 4, 3]), { strides: [2], auto_pad: 'SAME_LOWER' })

const channels = { scale: randomTensor([4], 3), bias: randomTensor([4], 4) }
const statistics = { ...channels, mean: randomTensor([4], 5), variance: randomTensor([4], 6, 0.5, 2) }
add('BatchNormalization', [7, 9, 14, 15], image, statistics, { epsilon: { float: 0.01 } })
add('BatchNormalization', [15], image, statistics, { training_mode: 1, momentum: { float: 0.7 } }, ['y', 'm', 'v'])
add('InstanceNormalization', [7], image, channels)
add('LayerNormalization', [17], image, { w: randomTensor([6, 7], 3) }, { axis: 2 }, ['y', 'mean', 'inverse'])
add('LayerNormalization', [17], image, { w: randomTensor([7], 3), b: randomTensor([7], 4) })
add('GroupNormalization', [21], image, channels, { num_groups: 2 })
add('LpNormalization', [7], image, {}, { axis: 1, p: 1 })
add('LpNormalization', [7], image)
add('LRN', [13], image, {}, { size: 3, alpha: { float: 0.3 }, beta: { float: 0.6 } })
add('MeanVarianceNormalization', [13], image, {}, { axes: [1, 2] })

describe('an imported node gives what ONNX Runtime makes of it', () => {
  it.each(
    cases.flatMap(each =>
      each.opsets.map((opset): [string, number, string, Case] => [
        each.op,
        opset,
        Object.entries(each.attributes ?? {})
          .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
          .join(' '),
        each,
      ]),
    ),
  )('%s in operator set %d: %s', (_, opset, __, each) => expectAgrees(describeCase(each, opset), each.values))
})
