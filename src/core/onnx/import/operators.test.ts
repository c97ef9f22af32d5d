import { describe, it } from 'vitest'
import { integers, randomTensor } from '../../../../test/check.ts'
import { expectAgrees, type Values } from '../../../../test/conformance/agreement.ts'
import { type AttributeValue, type ModelDescription, node } from '../../../../test/onnx-model.ts'
import { fromNumbers } from '../../dtype.ts'
import { type HostTensor, hostTensor, type Shape } from '../../index.ts'

const ints = (...values: number[]): HostTensor => integers(values)
const scalar = (value: number): HostTensor => hostTensor([value], [])
const bytes = (shape: Shape, seed: number): HostTensor =>
  hostTensor(randomTensor(shape, seed, 0, 255.9).numbers(), shape, 'u8')

const halves = (shape: Shape, seed: number): HostTensor =>
  hostTensor(fromNumbers('f16', randomTensor(shape, seed).numbers()), shape, 'f16')

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
add('Einsum', [12], x, { z: randomTensor([4, 5], 3) }, { equation: ' ij, jk ' })
add('Einsum', [12], image, {}, { equation: '...ij' })
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

add('Col2Im', [18], { x: randomTensor([2, 12, 12], 4) }, { size: ints(5, 5), block: ints(2, 3) }, { strides: [1, 1] })
const padded = { size: ints(6, 4), block: ints(2, 2) }
add('Col2Im', [18], { x: randomTensor([1, 8, 9], 4) }, padded, {
  strides: [2, 2],
  pads: [1, 0, 1, 2],
  dilations: [2, 1],
})
add(
  'DeformConv',
  [19],
  { x: randomTensor([1, 4, 5, 6], 4), w: randomTensor([2, 2, 2, 3], 5) },
  { offset: randomTensor([1, 24, 5, 5], 6), b: '', mask: randomTensor([1, 12, 5, 5], 7) },
  { group: 2, offset_group: 2, pads: [1, 0, 0, 1] },
)
add('CenterCropPad', [18], image, { size: ints(9, 4) }, { axes: [2, 3] })
add('CenterCropPad', [18], image, { size: ints(3, 10) }, { axes: [-2, -1] })
add('Compress', [11], x, { condition: hostTensor([0, 1, 1], [3], 'bool') }, { axis: 0 })
add('Compress', [11], x, { condition: hostTensor([0, 1, 1, 0, 1], [5], 'bool') })
add('MatMul', [13], { x: halves([3, 4], 1), z: halves([4, 2], 2) })
add('LayerNormalization', [17], { x: halves([3, 4], 1) }, { w: halves([4], 3) })
add('STFT', [17], { x: randomTensor([2, 20, 1], 3) }, { step: integers([3], []), window: randomTensor([8], 4) })

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

add('MaxPool', [8, 12], image, {}, { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] }, ['y', 'places'])
add('MaxPool', [12], image, {}, { kernel_shape: [2, 2], dilations: [2, 3], ceil_mode: 1, strides: [3, 2] })
add('MaxPool', [12], line, {}, { kernel_shape: [4], auto_pad: 'SAME_LOWER', strides: [2] }, ['y', 'places'])
add('MaxPool', [12], image, {}, { kernel_shape: [2, 3], storage_order: 1 }, ['y', 'places'])
add('MaxPool', [12], { x: bytes([1, 2, 5, 5], 3) }, {}, { kernel_shape: [2, 2] })
add('AveragePool', [7, 11], image, {}, { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] })
add('AveragePool', [11, 19], image, {}, { kernel_shape: [3, 2], pads: [1, 0, 0, 1], count_include_pad: 1 })
add('AveragePool', [11], image, {}, { kernel_shape: [4, 3], auto_pad: 'SAME_UPPER', strides: [3, 2] })
add('AveragePool', [11], line, {}, { kernel_shape: [3], strides: [2], ceil_mode: 1 })
add('LpPool', [11], image, {}, { kernel_shape: [3, 2], pads: [1, 0, 1, 1], p: 3 })
for (const op of ['GlobalAveragePool', 'GlobalMaxPool']) add(op, [7], image)
add('GlobalLpPool', [7], image, {}, { p: 2 })
add('MaxRoiPool', [7], image, { r: hostTensor([0, 0, 0, 5, 4, 1, 2, 1, 6, 5], [2, 5]) }, { pooled_shape: [2, 2] })
const boxes = { b: hostTensor([0.5, 0.2, 5.1, 4, 2, 1, 6, 5.5], [2, 4]), i: ints(1, 0) }
for (const opset of [10, 16])
  add('RoiAlign', [opset], image, boxes, { output_height: 3, output_width: 2, sampling_ratio: opset === 10 ? 2 : 0 })
const grid = { g: randomTensor([2, 3, 5, 2], 4, -1.2, 1.2) }
for (const padding_mode of ['zeros', 'border', 'reflection']) {
  for (const mode of ['bilinear', 'nearest', 'bicubic']) add('GridSample', [16], image, grid, { mode, padding_mode })
  add('GridSample', [20], image, grid, { mode: 'linear', padding_mode, align_corners: 1 })
}

const scales = (...values: number[]) => ({ s: hostTensor(values, [values.length]) })
for (const mode of ['nearest', 'linear']) {
  add('Upsample', [9], image, scales(1, 1, 2, 3), { mode })
  add('Resize', [10], image, scales(1, 1, 1.5, 0.7), { mode })
}
for (const coordinate_transformation_mode of ['half_pixel', 'pytorch_half_pixel', 'asymmetric', 'align_corners'])
  for (const mode of ['nearest', 'linear', 'cubic']) {
    const none = hostTensor([], [0])
    const sizes = ints(2, 4, 9, 3)
    add('Resize', [11], image, { roi: none, s: none, sizes }, { mode, coordinate_transformation_mode })
    add('Resize', [13], image, { roi: '', s: '', sizes }, { mode, coordinate_transformation_mode })
  }
for (const nearest_mode of ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'])
  add('Resize', [13], image, { roi: '', ...scales(1, 1, 1.7, 2.5) }, { nearest_mode })
add('Resize', [13], image, { roi: '', ...scales(1, 1, 1.7, 0.6) }, { mode: 'cubic', exclude_outside: 1 })
add('Resize', [18], image, { roi: '', ...scales(0.5, 1.6) }, { mode: 'linear', antialias: 1, axes: [2, 3] })
add('Resize', [18], image, { roi: '', ...scales(0.4, 0.6) }, { mode: 'cubic', antialias: 1, axes: [3, 2] })
for (const keep_aspect_ratio_policy of ['not_larger', 'not_smaller'])
  add('Resize', [18], image, { roi: '', s: '', sizes: ints(9, 8) }, { axes: [2, 3], keep_aspect_ratio_policy })
add(
  'Resize',
  [13],
  image,
  { roi: hostTensor([0, 0, 0.1, -0.2, 1, 1, 0.8, 1.3], [8]), s: '', sizes: ints(2, 4, 4, 5) },
  { mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize', extrapolation_value: { float: 3 } },
)

const sequence: Values = { x: randomTensor([5, 2, 3], 3) }
const cells = (gates: number, directions: number) => ({
  w: randomTensor([directions, gates * 4, 3], 4, -1, 1),
  r: randomTensor([directions, gates * 4, 4], 5, -1, 1),
})
const bias = (gates: number, directions: number) => ({ b: randomTensor([directions, 2 * gates * 4], 6, -1, 1) })
const lengths = { lengths: integers([5, 3], [2], 'i32') }
const start = (directions: number, seed: number) => randomTensor([directions, 2, 4], seed, -1, 1)
const gateCounts: Record<string, number> = { RNN: 1, GRU: 3, LSTM: 4 }
for (const op of ['RNN', 'GRU', 'LSTM']) {
  const gates = gateCounts[op]
  const states: Record<string, HostTensor> = op === 'LSTM' ? { h: start(2, 7), c: start(2, 8) } : { h: start(2, 7) }
  const outputs = op === 'LSTM' ? ['y', 'hidden', 'memory'] : ['y', 'hidden']
  add(op, [7, 14], sequence, cells(gates, 1), { hidden_size: 4 }, outputs)
  add(op, [14], sequence, { ...cells(gates, 1), ...bias(gates, 1) }, { hidden_size: 4, direction: 'reverse' }, outputs)
  add(
    op,
    [14],
    sequence,
    { ...cells(gates, 2), ...bias(gates, 2), ...lengths, ...states },
    { hidden_size: 4, direction: 'bidirectional' },
    outputs,
  )
}
add('RNN', [14], sequence, cells(1, 1), { hidden_size: 4, activations: ['Relu'] })
add('GRU', [14], sequence, { ...cells(3, 1), ...bias(3, 1) }, { hidden_size: 4, linear_before_reset: 1 })
add('LSTM', [14], sequence, cells(4, 1), { hidden_size: 4, input_forget: 1, clip: { float: 0.7 } })
const empty = { lengths: '', h: start(1, 7), c: start(1, 8) } as const
add(
  'LSTM',
  [14],
  sequence,
  { ...cells(4, 1), ...bias(4, 1), ...empty, p: randomTensor([1, 12], 9) },
  { hidden_size: 4 },
)

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
