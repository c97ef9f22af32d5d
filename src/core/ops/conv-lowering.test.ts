import { fromBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../test/check.ts'
import { backend, conv, convTranspose, interpret, placeholder, type Shape, type Tensor, vjp } from '../index.ts'
import { type NamedTensor, type WriteOptions, writeModel } from '../onnx/write.ts'
import { wrap } from '../runtime/backend.ts'

interface Graph {
  readonly inputs: NamedTensor[]
  readonly outputs: NamedTensor[]
}

const named = (tensors: readonly Tensor[], prefix: string): NamedTensor[] =>
  tensors.map((tensor, i) => ({ name: `${prefix}${i}`, tensor }))

/** A convolution over `x` and `w` with a bias, and everything it propagates back. */
function convolutionGraph(f: (x: Tensor, w: Tensor, b: Tensor) => Tensor, x: Shape, w: Shape, biases: number): Graph {
  const inputs = [placeholder('x', x), placeholder('w', w), placeholder('b', [biases])]
  const y = f(inputs[0], inputs[1], inputs[2])
  const cotangent = placeholder('ct', y.shape)
  return {
    inputs: named([...inputs, cotangent], 'in'),
    outputs: named([y, ...vjp([y], inputs, [cotangent])], 'out'),
  }
}

/** Operators written for a graph, with their domains. */
function operators({ inputs, outputs }: Graph, options: WriteOptions): string[] {
  const { graph } = fromBinary(ModelProtoSchema, writeModel(inputs, outputs, options).bytes)
  return graph!.node.map(node => (node.domain ? `${node.domain}.${node.opType}` : node.opType))
}

/** Runs the graph as written with these options and compares it with the float64 reference. */
async function expectReference({ inputs, outputs }: Graph, options: WriteOptions, batch = 1): Promise<void> {
  const { runtime, options: session } = await backend().open('cpu')
  const values = inputs.map(({ tensor: { shape } }, i) =>
    randomTensor(
      shape.map(dim => (dim < 0 ? -dim * batch : dim)),
      i + 1,
      -1,
      1,
    ),
  )
  const running = await runtime.InferenceSession.create(writeModel(inputs, outputs, options).bytes, session)
  const results = await running.run(
    Object.fromEntries(inputs.map(({ name }, i) => [name, wrap(runtime, values[i].data, values[i].shape, 'f32')])),
  )
  await running.release()
  const expected = interpret(
    outputs.map(({ tensor }) => tensor),
    new Map(inputs.map(({ tensor }, i) => [tensor, values[i].data])),
  )
  outputs.forEach(({ name }, i) => {
    expect(results[name].dims).toEqual([...expected[i].shape])
    expectClose(results[name].data as Float32Array, expected[i].data, 2e-5, `${name} with ${JSON.stringify(options)}`)
  })
}

/** Shapes for which some form of the convolution or of one of its gradients is chosen, with what must and must not appear. */
const forms: readonly {
  readonly name: string
  readonly x: Shape
  readonly w: Shape
  readonly options: Parameters<typeof conv>[2]
  readonly written: readonly string[]
  readonly absent?: readonly string[]
}[] = [
  {
    name: 'dense, blocked both ways; weights interleaved',
    x: [2, 16, 9, 8],
    w: [32, 16, 3, 3],
    options: { padding: [[1, 2], 1] },
    written: ['com.microsoft.nchwc.Conv', 'com.microsoft.nchwc.ReorderInput', 'Conv'],
    absent: ['ConvTranspose', 'com.microsoft.FusedMatMul'],
  },
  {
    name: 'dense with channels short of a whole block',
    x: [1, 28, 6, 5],
    w: [30, 28, 3, 2],
    options: { padding: 1, dilation: [1, 2] },
    written: ['com.microsoft.nchwc.Conv', 'Pad'],
  },
  {
    name: 'few input channels read as they are, strided',
    x: [2, 3, 15, 16],
    w: [16, 3, 5, 5],
    options: { padding: 2, stride: 2 },
    written: ['com.microsoft.nchwc.Conv', 'ConvTranspose'],
    absent: ['com.microsoft.nchwc.ReorderInput'],
  },
  {
    name: 'grouped in whole blocks',
    x: [1, 32, 6, 6],
    w: [32, 16, 3, 3],
    options: { padding: 1, groups: 2 },
    written: ['com.microsoft.nchwc.Conv'],
  },
  {
    name: 'grouped, blocks broken',
    x: [2, 20, 6, 6],
    w: [40, 10, 3, 3],
    options: { padding: 1, groups: 2 },
    written: ['Conv'],
    absent: ['com.microsoft.nchwc.Conv'],
  },
  {
    name: 'depthwise in whole blocks',
    x: [2, 16, 8, 9],
    w: [16, 1, 3, 3],
    options: { padding: 1, groups: 16 },
    written: ['com.microsoft.nchwc.Conv'],
    absent: ['Conv', 'ConvTranspose'],
  },
  {
    name: 'depthwise, strided and dilated, rows left over',
    x: [4, 20, 10, 11],
    w: [20, 1, 3, 2],
    options: { padding: [[1, 0], 2], stride: [2, 3], dilation: [2, 1], groups: 20 },
    written: ['com.microsoft.nchwc.Conv', 'ConvTranspose'],
  },
  {
    name: 'depthwise with one spatial axis, causal',
    x: [2, 24, 13],
    w: [24, 1, 4],
    options: { padding: [[3, 0]], groups: 24 },
    written: ['com.microsoft.nchwc.Conv'],
  },
  {
    name: 'dense with one spatial axis',
    x: [2, 16, 13],
    w: [16, 16, 3],
    options: { padding: 2, dilation: 2 },
    written: ['com.microsoft.nchwc.Conv'],
  },
  {
    name: 'pointwise',
    x: [3, 20, 4, 5],
    w: [10, 20, 1, 1],
    options: {},
    written: ['Conv', 'com.microsoft.FusedMatMul'],
    absent: ['com.microsoft.nchwc.Conv'],
  },
  {
    name: 'a large kernel over small images: the batch inside',
    x: [8, 100, 3, 2],
    w: [112, 100, 3, 3],
    options: { padding: 1 },
    written: ['Conv', 'Transpose'],
    absent: ['com.microsoft.nchwc.Conv', 'ConvTranspose'],
  },
  {
    name: 'weights sample by sample over large images, dilated, rows left over',
    x: [2, 9, 30, 31],
    w: [5, 9, 3, 3],
    options: { padding: [[0, 3], 1], dilation: [1, 2] },
    written: ['Conv', 'ReduceSum'],
  },
  {
    name: 'weights interleaved with groups, strides and rows left over',
    x: [3, 18, 8, 11],
    w: [4, 9, 3, 3],
    options: { stride: [2, 3], groups: 2 },
    written: ['Conv', 'ConvTranspose', 'Slice'],
    absent: ['com.microsoft.FusedMatMul'],
  },
  {
    name: 'strided in blocks, phase by phase, sizes that the strides do not divide',
    x: [2, 16, 9, 11],
    w: [32, 16, 3, 4],
    options: { padding: [1, [1, 2]], stride: [2, 2] },
    written: ['com.microsoft.nchwc.Conv', 'Gather', 'Concat'],
    absent: ['ConvTranspose'],
  },
  {
    name: 'strided depthwise with one spatial axis',
    x: [4, 20, 11],
    w: [20, 1, 3],
    options: { padding: 1, stride: 2, groups: 20 },
    written: ['com.microsoft.nchwc.Conv', 'Gather', 'Concat'],
    absent: ['ConvTranspose', 'Conv'],
  },
  {
    name: 'kernels that step over some elements',
    x: [2, 16, 9, 9],
    w: [16, 16, 2, 2],
    options: { stride: 3 },
    written: ['com.microsoft.nchwc.Conv', 'ConvTranspose'],
  },
  {
    name: 'patches that lie side by side',
    x: [3, 4, 8, 13],
    w: [16, 4, 4, 5],
    options: { stride: [4, 5], padding: [0, [2, 0]] },
    written: ['com.microsoft.nchwc.Conv', 'Conv', 'ConvTranspose'],
    absent: ['com.microsoft.FusedMatMul'],
  },
  {
    name: 'patches with gaps between them',
    x: [2, 1, 22],
    w: [3, 1, 16],
    options: { stride: 18, padding: [[0, 15]] },
    written: ['Conv', 'ConvTranspose'],
    absent: ['com.microsoft.FusedMatMul'],
  },
  {
    name: 'three spatial axes',
    x: [2, 6, 4, 5, 6],
    w: [10, 6, 3, 2, 3],
    options: { padding: 1, stride: [1, 2, 1] },
    written: ['Conv', 'ConvTranspose'],
  },
]

describe.each(forms)('$name', ({ x, w, options, written, absent = [] }) => {
  const graph = convolutionGraph((a, k, bias) => conv(a, k, { ...options, bias }), x, w, w[0])
  it('is written in the forms that are fast', () => {
    const found = operators(graph, { channelBlock: 16 })
    expect(found).toEqual(expect.arrayContaining([...written]))
    for (const operator of absent) expect(found).not.toContain(operator)
  })
  it('gives the reference on this machine, without blocks, and in standard operators', async () => {
    const { channelBlock } = await backend().open('cpu')
    await expectReference(graph, { channelBlock })
    await expectReference(graph, {})
    await expectReference(graph, { contributed: false })
  })
  it('keeps to standard operators when asked to', () => {
    expect(operators(graph, { contributed: false, channelBlock: 16 }).filter(name => name.includes('.'))).toEqual([])
  })
})

describe('lowering of convolutions', () => {
  it('adds the bias inside the convolution', () => {
    const inputs = [placeholder('x', [2, 3, 8, 8]), placeholder('w', [4, 3, 3, 3]), placeholder('b', [4])]
    const plain = named([conv(inputs[0], inputs[1], { bias: inputs[2] })], 'y')
    expect(operators({ inputs: named(inputs, 'in'), outputs: plain }, { contributed: false })).toEqual(['Conv'])
    const wide = [placeholder('x', [2, 4, 8, 8]), placeholder('w', [4, 3, 3, 3]), placeholder('b', [3])]
    const back = named([convTranspose(wide[0], wide[1], { stride: 2, bias: wide[2] })], 'y')
    expect(operators({ inputs: named(wide, 'in'), outputs: back }, { contributed: false })).toEqual(['ConvTranspose'])
  })

  it.each([
    ['blocked, at stride 2', [2, 32, 5, 6], [32, 16, 4, 4], { stride: 2, padding: 1 }, 'com.microsoft.nchwc.Conv'],
    ['blocked depthwise', [1, 16, 5, 6], [16, 1, 3, 3], { stride: 2, outputPadding: 1, groups: 16 }, 'Gather'],
    ['flipped, at stride 1', [2, 16, 5, 6], [16, 30, 3, 3], { padding: 1 }, 'com.microsoft.nchwc.Conv'],
    ['with more padding than kernel', [2, 4, 7, 9], [4, 3, 3, 3], { padding: 3 }, 'ConvTranspose'],
  ] as const)('writes transposed convolutions: %s', async (_, x, w, options, written) => {
    const channels = w[1] * ('groups' in options ? options.groups : 1)
    const graph = convolutionGraph((a, k, bias) => convTranspose(a, k, { ...options, bias }), x, w, channels)
    expect(operators(graph, { channelBlock: 16 })).toContain(written)
    const { channelBlock } = await backend().open('cpu')
    await expectReference(graph, { channelBlock })
    await expectReference(graph, { contributed: false })
  })

  it.each([
    ['patchwise', [-1, 3, 8, 8], [16, 3, 4, 4], 1, 4],
    ['dense', [-1, 16, 6, 6], [16, 16, 3, 3], 1, 1],
    ['pointwise', [-1, 6, 4, 4], [5, 6, 1, 1], 1, 1],
    ['strided', [-1, 16, 7, 6], [16, 16, 3, 3], 1, 2],
    ['depthwise', [-1, 16, 6, 6], [16, 1, 3, 3], 16, 1],
  ] as const)('writes %s convolutions and their gradients over a symbolic batch', async (_, x, w, groups, stride) => {
    const graph = convolutionGraph((a, k, bias) => conv(a, k, { padding: 'same', bias, groups, stride }), x, w, w[0])
    const { channelBlock } = await backend().open('cpu')
    await expectReference(graph, { channelBlock }, 3)
    await expectReference(graph, { contributed: false }, 3)
  })
})
