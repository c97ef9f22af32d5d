import { AttributeProto_AttributeType as AttributeType } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { expectClose, integers, randomTensor } from '../../../test/check.ts'
import { differenceOf, fromOnnx, runOnnx } from '../../../test/conformance/node-tests.ts'
import { graph, type ModelDescription, modelBytes, node } from '../../../test/onnx-model.ts'
import {
  compile,
  exportModel,
  grad,
  type HostTensor,
  hostTensor,
  interpret,
  mean,
  Program,
  placeholder,
  type ReadOptions,
  readModel,
  type Tensor,
  UnsupportedModel,
  ValueNeeded,
} from '../index.ts'

type Values = Record<string, HostTensor>

/** Importing gives what ONNX Runtime makes of the file itself: by the interpreter, and exported and run again. */
async function expectAgrees(description: ModelDescription, values: Values, options: ReadOptions = {}): Promise<void> {
  const bytes = modelBytes(description)
  const given = new Map(Object.entries(values))
  const expected = await runOnnx(bytes, given)
  const model = readModel(bytes, options)
  const names = [...model.outputs.keys()]
  const bound = new Map([...model.inputs].map(([name, input]) => [input, values[name].data]))
  const reference = interpret([...model.outputs.values()], bound)
  const again = await runOnnx(
    exportModel(Object.fromEntries(model.outputs), Object.fromEntries(model.inputs)).model,
    given,
  )
  for (const [i, name] of names.entries()) {
    const want = hostLike(expected[name])
    expect(differenceOf(reference[i], want), `interpreter: ${name}`).toBeUndefined()
    expect(differenceOf(fromOnnx(again[name]), want), `exported: ${name}`).toBeUndefined()
  }
}

function hostLike(result: Parameters<typeof fromOnnx>[0]): HostTensor {
  const { shape, dtype, data } = fromOnnx(result)
  return hostTensor([...data], shape, dtype)
}

const x34 = randomTensor([3, 4], 1)
const image = randomTensor([2, 4, 6, 6], 2)

describe('readModel', () => {
  const linear: ModelDescription = {
    opset: 17,
    inputs: { x: ['f32', ['batch', 4]] },
    outputs: { y: ['f32', ['batch', 2]] },
    initializers: { weight: randomTensor([4, 2], 3), bias: randomTensor([2], 4), unused: randomTensor([9], 5) },
    nodes: [node('Gemm', ['x', 'weight', 'bias'], ['h']), node('LeakyRelu', ['h'], ['y'])],
  }

  it('gives inputs, outputs and the parameters that matter, by name', () => {
    const model = readModel(modelBytes(linear))
    expect([...model.inputs].map(([name, { shape }]) => [name, shape])).toEqual([['x', [-1, 4]]])
    expect(model.outputs.get('y')?.shape).toEqual([-1, 2])
    expect([...model.parameters.keys()]).toEqual(['weight', 'bias'])
    expect(model.opset).toBe(17)
  })

  it('runs, and runs again after export with a symbolic batch', () => expectAgrees(linear, { x: x34 }))

  it('is fine-tuned by gradients, and keeps what it learnt when exported', async () => {
    const model = readModel(modelBytes(linear), { batch: 3 })
    const [weights, output] = [[...model.parameters.values()], model.outputs.get('y')!]
    const loss = mean(output.sub(0.4).mul(output.sub(0.4)))
    const step = compile((x: Tensor) => {
      const traced = model.call({ x }).y
      const own = mean(traced.sub(0.4).mul(traced.sub(0.4)))
      grad(own, weights).forEach((gradient, i) => {
        weights[i].update(value => value.sub(gradient.mul(0.1)))
      })
      return own
    })
    const before = (await step(x34)).item()
    for (let i = 0; i < 200; i++) await step(x34)
    const after = interpret([loss], new Map([[model.inputs.get('x')!, x34.data]]))[0].data[0]
    expect(after).toBeLessThan(before / 5)
    const { model: bytes } = exportModel(Object.fromEntries(model.outputs), Object.fromEntries(model.inputs))
    const [y] = Object.values(await runOnnx(bytes, new Map([['x', x34]])))
    const exported = fromOnnx(y).data.reduce((sum, value) => sum + (value - 0.4) ** 2 / y.size, 0)
    expect(exported).toBeCloseTo(after, 4)
  })

  it('reads its own exports back: same names, same numbers, data beside the model', async () => {
    const first = readModel(modelBytes(linear))
    const big = first.outputs.get('y')!.matmul(hostConstant([2, 300]))
    const { model, data, dataLocation } = exportModel(
      { wide: big, ...Object.fromEntries(first.outputs) },
      Object.fromEntries(first.inputs),
      { parameters: 'beside', dataLocation: 'weights/all.bin' },
    )
    const second = readModel(model, {
      externalData: location => (location === dataLocation ? data! : new Uint8Array()),
    })
    expect([...second.parameters.keys()]).toEqual(['weight', 'bias'])
    expect([...readModel(modelBytes(linear), { trainable: name => name === 'bias' }).parameters.keys()]).toEqual([
      'bias',
    ])
    const values = (read: typeof first) =>
      interpret([read.outputs.get('y')!], new Map([[read.inputs.get('x')!, x34.data]]))[0].data
    expect(values(second)).toEqual(values(first))
    expect(second.outputs.get('wide')?.shape).toEqual([-1, 300])
  })

  it('is part of a larger graph by call(), which names what does not fit', () => {
    const model = readModel(modelBytes(linear), { batch: 3 })
    const z = placeholder('z', [3, 4])
    expect(model.call({ x: z.mul(2) }).y.shape).toEqual([3, 2])
    expect(() => model.call({ x: placeholder('z', [2, 4]) })).toThrow("input 'x' is f32[3,4], got f32[2,4]")
    expect(() => model.call({ z })).toThrow("the model has no input 'z'; it has x")
  })
})

const hostConstant = (shape: number[]): Tensor => {
  const { data } = randomTensor(shape, 9)
  return readModel(
    modelBytes({ opset: 17, outputs: ['c'], nodes: [node('Constant', [], ['c'], { value: hostTensor(data, shape) })] }),
  ).outputs.get('c')!
}

describe('operator sets', () => {
  const cases: [string, ModelDescription, Values][] = []
  const add = (name: string, description: Omit<ModelDescription, 'outputs'>, values: Values): void => {
    cases.push([`${name} in ${description.opset}`, { ...description, outputs: ['y'] }, values])
  }
  const one = (...args: Parameters<typeof node>) => [node(...args)]
  const inputs = (values: Values) =>
    Object.fromEntries(Object.entries(values).map(([name, { dtype, shape }]) => [name, [dtype, shape] as const]))
  const x = { x: x34 }
  const ints = (...values: number[]): HostTensor => integers(values)
  const scalar = (value: number): HostTensor => hostTensor([value], [])

  for (const opset of [7, 12])
    add(
      'Squeeze by attribute',
      { opset, inputs: inputs({ x: randomTensor([1, 3], 1) }), nodes: one('Squeeze', ['x'], ['y'], { axes: [0] }) },
      { x: randomTensor([1, 3], 1) },
    )
  for (const opset of [13, 21])
    add(
      'Squeeze by input',
      {
        opset,
        inputs: inputs({ x: randomTensor([1, 3], 1) }),
        initializers: { axes: ints(0) },
        nodes: one('Squeeze', ['x', 'axes'], ['y']),
      },
      { x: randomTensor([1, 3], 1) },
    )
  for (const opset of [7, 11])
    add(
      'Unsqueeze by attribute',
      { opset, inputs: inputs(x), nodes: one('Unsqueeze', ['x'], ['y'], { axes: [0, 2] }) },
      x,
    )
  for (const opset of [13, 21])
    add(
      'Unsqueeze by input',
      { opset, inputs: inputs(x), initializers: { axes: ints(0, -1) }, nodes: one('Unsqueeze', ['x', 'axes'], ['y']) },
      x,
    )
  for (const opset of [7, 9])
    add(
      'Slice by attributes',
      {
        opset,
        inputs: inputs(x),
        nodes: one('Slice', ['x'], ['y'], { starts: [1, -3], ends: [3, 100], axes: [0, 1] }),
      },
      x,
    )
  for (const opset of [10, 13])
    add(
      'Slice by inputs',
      {
        opset,
        inputs: inputs(x),
        initializers: { s: ints(-1), e: ints(-100), a: ints(1), t: ints(-2) },
        nodes: one('Slice', ['x', 's', 'e', 'a', 't'], ['y']),
      },
      x,
    )
  add(
    'Clip by attributes',
    { opset: 7, inputs: inputs(x), nodes: one('Clip', ['x'], ['y'], { min: { float: -0.5 } }) },
    x,
  )
  add(
    'Clip by inputs',
    { opset: 13, inputs: inputs(x), initializers: { high: scalar(0.5) }, nodes: one('Clip', ['x', '', 'high'], ['y']) },
    x,
  )
  for (const mode of ['constant', 'reflect', 'edge']) {
    add(
      `Pad ${mode} by attributes`,
      {
        opset: 10,
        inputs: inputs(x),
        nodes: one('Pad', ['x'], ['y'], { mode, pads: [1, 0, 2, 1], value: { float: 2 } }),
      },
      x,
    )
    add(
      `Pad ${mode} by inputs`,
      {
        opset: 13,
        inputs: inputs(x),
        initializers: { p: ints(1, 0, 2, 1), v: scalar(2) },
        nodes: one('Pad', ['x', 'p', 'v'], ['y'], { mode }),
      },
      x,
    )
  }
  add(
    'Pad of some axes',
    {
      opset: 18,
      inputs: inputs(x),
      initializers: { p: ints(1, 2), v: scalar(2), a: ints(-1) },
      nodes: one('Pad', ['x', 'p', 'v', 'a'], ['y']),
    },
    x,
  )
  add(
    'Pad wrap',
    {
      opset: 19,
      inputs: inputs(x),
      initializers: { p: ints(1, 2, 0, 1) },
      nodes: one('Pad', ['x', 'p'], ['y'], { mode: 'wrap' }),
    },
    x,
  )
  add(
    'Split by attribute',
    { opset: 11, inputs: inputs(x), nodes: one('Split', ['x'], ['y', 'z'], { axis: 1, split: [1, 3] }) },
    x,
  )
  add(
    'Split by input',
    {
      opset: 13,
      inputs: inputs(x),
      initializers: { s: ints(1, 3) },
      nodes: one('Split', ['x', 's'], ['y', 'z'], { axis: -1 }),
    },
    x,
  )
  add(
    'Split unevenly',
    { opset: 18, inputs: inputs(x), nodes: one('Split', ['x'], ['y', 'z'], { axis: 0, num_outputs: 2 }) },
    x,
  )
  for (const op of ['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceL2', 'ReduceLogSumExp', 'ReduceProd']) {
    add(
      `${op} by attribute`,
      { opset: 11, inputs: inputs(x), nodes: one(op, ['x'], ['y'], { axes: [-1], keepdims: 0 }) },
      x,
    )
    add(
      `${op} by input`,
      {
        opset: 18,
        inputs: inputs(x),
        initializers: { a: ints(1) },
        nodes: one(op, ['x', 'a'], ['y'], { keepdims: 0 }),
      },
      x,
    )
  }
  for (const op of ['Softmax', 'LogSoftmax', 'Hardmax'])
    for (const opset of [11, 13])
      add(op, { opset, inputs: inputs({ x: image }), nodes: one(op, ['x'], ['y'], { axis: 2 }) }, { x: image })
  add(
    'TopK by attribute',
    { opset: 9, inputs: inputs(x), nodes: one('TopK', ['x'], ['y', 'places'], { k: 2, axis: 0 }) },
    x,
  )
  add(
    'TopK by input',
    {
      opset: 11,
      inputs: inputs(x),
      initializers: { k: ints(2) },
      nodes: one('TopK', ['x', 'k'], ['y', 'places'], { largest: 0 }),
    },
    x,
  )
  add(
    'CumSum',
    {
      opset: 14,
      inputs: inputs(x),
      initializers: { axis: ints(1) },
      nodes: one('CumSum', ['x', 'axis'], ['y'], { exclusive: 1 }),
    },
    x,
  )
  add(
    'Einsum',
    {
      opset: 12,
      inputs: inputs({ x: image }),
      nodes: one('Einsum', ['x', 'x'], ['y'], { equation: 'bchw,bdhw->bcd' }),
    },
    { x: image },
  )
  add('Gelu', { opset: 20, inputs: inputs(x), nodes: one('Gelu', ['x'], ['y']) }, x)
  add('Gelu by tanh', { opset: 20, inputs: inputs(x), nodes: one('Gelu', ['x'], ['y'], { approximate: 'tanh' }) }, x)
  add('Mish', { opset: 18, inputs: inputs(x), nodes: one('Mish', ['x'], ['y']) }, x)
  add(
    'PRelu',
    {
      opset: 16,
      inputs: inputs({ x: image }),
      initializers: { slope: randomTensor([4, 1, 1], 3) },
      nodes: one('PRelu', ['x', 'slope'], ['y']),
    },
    { x: image },
  )
  add(
    'Det',
    { opset: 11, inputs: inputs({ x: randomTensor([2, 5, 5], 4) }), nodes: one('Det', ['x'], ['y']) },
    { x: randomTensor([2, 5, 5], 4) },
  )
  add(
    'ScatterElements max',
    {
      opset: 18,
      inputs: inputs(x),
      initializers: { i: integers([0, 2, 0, 1], [1, 4]), u: hostTensor([9, -9, 9, 9], [1, 4]) },
      nodes: one('ScatterElements', ['x', 'i', 'u'], ['y'], { reduction: 'max' }),
    },
    x,
  )
  add(
    'QuantizeLinear and back',
    {
      opset: 13,
      inputs: inputs(x),
      initializers: { s: scalar(0.02), z: hostTensor([100], [], 'u8') },
      nodes: [node('QuantizeLinear', ['x', 's', 'z'], ['q']), node('DequantizeLinear', ['q', 's', 'z'], ['y'])],
    },
    x,
  )
  const bytes = (shape: number[], seed: number) =>
    hostTensor(randomTensor(shape, seed, 0, 255.9).numbers(), shape, 'u8')
  const [a, b] = [bytes([3, 700], 1), bytes([700, 2], 2)]
  add(
    'MatMulInteger of long rows',
    { opset: 10, inputs: inputs({ a, b }), nodes: one('MatMulInteger', ['a', 'b'], ['y']) },
    { a, b },
  )

  it.each(cases)('%s', (_, description, values) => expectAgrees(description, values))
})

describe('open sizes', () => {
  const named: ModelDescription = {
    opset: 17,
    inputs: { ids: ['i64', ['n', 'length']], mask: ['f32', ['n', 'length']] },
    outputs: ['y'],
    nodes: [node('Cast', ['ids'], ['f'], { to: 1 }), node('Mul', ['f', 'mask'], ['y'])],
  }

  it('leaves the first open dimension of an input symbolic, and asks for others by name', () => {
    expect(() => readModel(modelBytes(named))).toThrow(
      "onnx: input 'ids': axis 1 of [n,length] has no size; give it by { dims: { 'length': … } } or { shapes }",
    )
    const read = (options: ReadOptions) => readModel(modelBytes(named), options).outputs.get('y')!.shape
    expect(read({ dims: { length: 7 } })).toEqual([-1, 7])
    expect(read({ dims: { length: 7 }, batch: 2 })).toEqual([2, 7])
    expect(read({ dims: { length: 7, n: 3 } })).toEqual([3, 7])
    expect(read({ shapes: { ids: [5, 6], mask: [5, 6] } })).toEqual([5, 6])
    expect(() => read({ shapes: { ids: [5], mask: [5, 6] } })).toThrow(
      "onnx: input 'ids': the model states [n,length], the shape given is [5]",
    )
    expect(() => read({ dims: { length: -7 } })).toThrow(
      "onnx: the size -7 given for 'length' is no whole number of at least 0",
    )
    expect(() => read({ shapes: { id: [5] } })).toThrow("the model has no input 'id'; its inputs are 'ids', 'mask'")
  })

  it('works out shapes that models take apart and put together again, the batch staying open', async () => {
    // What PyTorch writes for x.view(x.size(0), -1), x.expand(x.size(0), …) and x.flatten(0, 1).
    const description: ModelDescription = {
      opset: 17,
      inputs: { x: ['f32', ['batch', 3, 4]] },
      outputs: ['flat', 'merged', 'spread', 'filled', 'count'],
      initializers: {
        zero: integers([0], []),
        rest: integers([-1]),
        four: integers([4]),
        three: integers([3]),
        axis: integers([0]),
        starts: integers([0]),
        ends: integers([2]),
        token: randomTensor([1, 1, 4], 6),
        template: integers([-1, 2, 4]),
        ones: integers([1, 1, 1]),
        one: integers([2]),
      },
      nodes: [
        node('Shape', ['x'], ['shape']),
        node('Gather', ['shape', 'zero'], ['n'], { axis: 0 }),
        node('Unsqueeze', ['n', 'axis'], ['n1']),
        node('Concat', ['n1', 'rest'], ['target'], { axis: 0 }),
        node('Reshape', ['x', 'target'], ['flat']),
        node('Mul', ['n1', 'three'], ['n3']),
        node('Concat', ['n3', 'four'], ['mergedShape'], { axis: 0 }),
        node('Reshape', ['x', 'mergedShape'], ['merged']),
        // expand(-1 …): where the target is -1 keep the size, else take the target.
        node('Concat', ['n1', 'one', 'four'], ['wide'], { axis: 0 }),
        node('Equal', ['wide', 'template'], ['same']),
        node('Where', ['same', 'ones', 'wide'], ['chosen']),
        node('Slice', ['wide', 'starts', 'axis', 'axis'], ['none']),
        node('Concat', ['n1', 'one', 'four'], ['size'], { axis: 0 }),
        node('Expand', ['token', 'size'], ['spread']),
        node('ConstantOfShape', ['shape'], ['filled'], { value: hostTensor([3], [1]) }),
        node('Cast', ['n'], ['count'], { to: 1 }),
      ],
    }
    const model = readModel(modelBytes(description))
    const shapes = [...model.outputs.values()].map(({ shape }) => shape)
    expect(shapes).toEqual([[-1, 12], [-3, 4], [-1, 2, 4], [-1, 3, 4], []])
    await expectAgrees(description, { x: randomTensor([5, 3, 4], 7) })
    await expectAgrees(description, { x: randomTensor([5, 3, 4], 7) }, { batch: 5 })
  })

  it('reads a symbolic batch that Tenet wrote, multiples included', () => {
    const x = placeholder('x', [-12, 4])
    const { model } = exportModel({ y: x.reshape([-1, 12, 4]) }, { x })
    const read = readModel(model)
    expect(read.inputs.get('x')?.shape).toEqual([-12, 4])
    expect(readModel(model, { batch: 2 }).outputs.get('y')?.shape).toEqual([2, 12, 4])
  })

  it('asks for values that decide shapes, and takes them', async () => {
    const description: ModelDescription = {
      opset: 17,
      inputs: { x: ['f32', [3, 4]], shape: ['i64', [2]] },
      outputs: ['y'],
      nodes: [node('Reshape', ['x', 'shape'], ['y'])],
    }
    const read = () => readModel(modelBytes(description))
    expect(read).toThrow(ValueNeeded)
    expect(read).toThrow(
      "onnx: node 0 (Reshape): input 1 ('shape') must be known while the graph is built, but depends on the input 'shape': give its value by { values }",
    )
    const shape = integers([2, 6])
    expect(readModel(modelBytes(description), { values: { shape } }).outputs.get('y')?.shape).toEqual([2, 6])
    expect(() => readModel(modelBytes(description), { values: { shape: x34 } })).toThrow(
      "onnx: input 'shape': the value given is f32, expected i64",
    )
    await expectAgrees(description, { x: x34, shape }, { values: { shape } })
  })
})

describe('graphs inside graphs', () => {
  it('inlines functions, their attributes standing for those of the call', () =>
    expectAgrees(
      {
        opset: 17,
        domains: ['own'],
        inputs: { x: ['f32', [3, 4]] },
        outputs: { y: ['f32', [3, 4]] },
        functions: [
          {
            name: 'Sharpen',
            domain: 'own',
            inputs: ['a'],
            outputs: ['b'],
            attributes: ['slope'],
            nodes: [
              node('LeakyRelu', ['a'], ['t'], { alpha: { ref: 'slope', type: AttributeType.FLOAT } }),
              node('Mul', ['t', 't'], ['b']),
            ],
          },
        ],
        nodes: [
          node('Sharpen', ['x'], ['h'], { slope: { float: 0.3 } }, 'own'),
          node('Sharpen', ['h'], ['y'], { slope: { float: 0.1 } }, 'own'),
        ],
      },
      { x: x34 },
    ))

  const branches: ModelDescription = {
    opset: 16,
    inputs: { x: ['f32', [3, 4]] },
    outputs: { y: ['f32', [3, 4]] },
    nodes: [
      node('ReduceSum', ['x'], ['total'], { keepdims: 0 }),
      node('Constant', [], ['zero'], { value: hostTensor([0], []) }),
      node('Greater', ['total', 'zero'], ['positive']),
      node('If', ['positive'], ['y'], {
        then_branch: graph({ outputs: { a: ['f32', [3, 4]] }, nodes: [node('Exp', ['x'], ['a'])] }),
        else_branch: graph({ outputs: { b: ['f32', [3, 4]] }, nodes: [node('Neg', ['x'], ['b'])] }),
      }),
    ],
  }

  it.each([1, -1])('computes both branches of a condition on data and chooses (sign %d)', sign =>
    expectAgrees(branches, { x: randomTensor([3, 4], 1, sign === 1 ? 0 : -2, sign === 1 ? 2 : 0) }),
  )

  const body = graph({
    inputs: { trip: ['i64', []], going: ['bool', []], sum: ['f32', [4]] },
    outputs: { again: ['bool', []], next: ['f32', [4]], seen: ['f32', [4]] },
    nodes: [
      node('Gather', ['x', 'trip'], ['row'], { axis: 0 }),
      node('Add', ['sum', 'row'], ['next']),
      node('Identity', ['next'], ['seen']),
      node('Less', ['trip', 'last'], ['again']),
    ],
  })
  const looped = (last: number): ModelDescription => ({
    opset: 16,
    inputs: { x: ['f32', [3, 4]] },
    outputs: { total: ['f32', [4]], sums: ['f32', ['trips', 4]] },
    initializers: {
      trips: integers([3], []),
      going: hostTensor([1], [], 'bool'),
      last: integers([last], []),
      start: randomTensor([4], 5),
    },
    nodes: [node('Loop', ['trips', 'going', 'start'], ['total', 'sums'], { body })],
  })

  it.each([9, 0])('unrolls loops over outer values, ended by their count or condition (%d)', last =>
    expectAgrees(looped(last), { x: x34 }),
  )

  it('says so where a loop ends by data', () => {
    const description: ModelDescription = {
      ...looped(9),
      nodes: [
        node('Loop', ['trips', 'going', 'start'], ['total', 'sums'], {
          body: graph({
            inputs: { trip: ['i64', []], going: ['bool', []], sum: ['f32', [4]] },
            outputs: { again: ['bool', []], next: ['f32', [4]], seen: ['f32', [4]] },
            nodes: [
              node('Gather', ['x', 'trip'], ['row'], { axis: 0 }),
              node('Add', ['sum', 'row'], ['next']),
              node('Identity', ['next'], ['seen']),
              node('ReduceSum', ['next'], ['s'], { keepdims: 0 }),
              node('Cast', ['s'], ['again'], { to: 9 }),
            ],
          }),
        }),
      ],
    }
    expect(() => readModel(modelBytes(description))).toThrow(UnsupportedModel)
    expect(() => readModel(modelBytes(description))).toThrow(
      'onnx: node 0 (Loop): its condition depends on values that are only known at run time',
    )
  })

  it('scans backwards along inner axes', () =>
    expectAgrees(
      {
        opset: 16,
        inputs: { x: ['f32', [3, 4]] },
        outputs: { last: ['f32', [3]], all: ['f32', [3, 4]] },
        initializers: { start: randomTensor([3], 5) },
        nodes: [
          node('Scan', ['start', 'x'], ['last', 'all'], {
            num_scan_inputs: 1,
            scan_input_axes: [1],
            scan_input_directions: [1],
            scan_output_axes: [1],
            scan_output_directions: [1],
            body: graph({
              inputs: { state: ['f32', [3]], column: ['f32', [3]] },
              outputs: { next: ['f32', [3]], seen: ['f32', [3]] },
              nodes: [
                node('Mul', ['state', 'column'], ['p']),
                node('Tanh', ['p'], ['next']),
                node('Add', ['next', 'column'], ['seen']),
              ],
            }),
          }),
        ],
      },
      { x: x34 },
    ))
})

describe('element types', () => {
  it('keeps halves, integers and booleans, and refuses or narrows doubles', async () => {
    const halves = hostTensor([0.5, -2, 3, 65504], [4], 'f16')
    const bytes = modelBytes({
      opset: 17,
      outputs: { y: ['f16', [4]] },
      initializers: { halves },
      nodes: [node('Identity', ['halves'], ['y'])],
    })
    const model = readModel(bytes)
    expect(model.parameters.get('halves')?.data).toEqual(halves.data)
    const double = (options: ReadOptions) =>
      readModel(
        modelBytes({
          opset: 17,
          inputs: { x: ['f32', [2]] },
          outputs: ['y'],
          nodes: [node('Cast', ['x'], ['y'], { to: 11 })],
        }),
        options,
      )
    expect(() => double({})).toThrow(
      "onnx: node 0 (Cast): element type double is not supported; read the model with { double: 'f32' } to round it to float32",
    )
    expect(double({ double: 'f32' }).outputs.get('y')?.dtype).toBe('f32')
  })

  it('computes a Program like any other graph', async () => {
    const model = readModel(
      modelBytes({
        opset: 13,
        inputs: { x: ['f32', [3, 4]] },
        outputs: ['y'],
        initializers: { scale: hostTensor([3], []) },
        nodes: [node('Mul', ['x', 'scale'], ['y'])],
      }),
    )
    const program = await Program.compile([...model.inputs.values()], [...model.outputs.values()])
    const [y] = await program.run([x34])
    expectClose(
      y.numbers(),
      Array.from(x34.numbers(), value => 3 * value),
      1e-6,
      'y',
    )
  })
})
