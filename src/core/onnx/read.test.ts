import { AttributeProto_AttributeType as AttributeType } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { expectClose, integers, randomTensor } from '../../../test/check.ts'
import { expectAgrees } from '../../../test/conformance/agreement.ts'
import { fromOnnx, runOnnx } from '../../../test/conformance/node-tests.ts'
import { graph, type ModelDescription, modelBytes, node, onnxChecker, onnxPython } from '../../../test/onnx-model.ts'
import {
  compile,
  exportModel,
  grad,
  hostTensor,
  interpret,
  mean,
  Program,
  placeholder,
  type ReadOptions,
  readModel,
  type Tensor,
  topologicalOrder,
  UnsupportedModel,
  ValueNeeded,
} from '../index.ts'

const x34 = randomTensor([3, 4], 1)

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
    expectClose(values(second), values(first), 1e-7, 'y')
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
  const looped = (last: number, trips = 3): ModelDescription => ({
    opset: 16,
    inputs: { x: ['f32', [trips, 4]] },
    outputs: { total: ['f32', [4]], sums: ['f32', ['trips', 4]] },
    initializers: {
      trips: integers([trips], []),
      going: hostTensor([1], [], 'bool'),
      last: integers([last], []),
      start: randomTensor([4], 5),
    },
    nodes: [node('Loop', ['trips', 'going', 'start'], ['total', 'sums'], { body })],
  })

  it.each([9, 0])('unrolls loops over outer values, ended by their count or condition (%d)', last =>
    expectAgrees(looped(last), { x: x34 }),
  )

  // The condition is settled while the graph is built: it does not depend on the trip.
  const going = graph({
    inputs: { trip: ['i64', []], going: ['bool', []], sum: ['f32', [4]] },
    outputs: { again: ['bool', []], next: ['f32', [4]], seen: ['f32', [4]] },
    nodes: [
      node('Gather', ['x', 'trip'], ['row'], { axis: 0 }),
      node('Add', ['sum', 'row'], ['s']),
      node('Tanh', ['s'], ['next']),
      node('Identity', ['next'], ['seen']),
      node('Identity', ['going'], ['again']),
    ],
  })
  const long: ModelDescription = {
    ...looped(99, 40),
    nodes: [node('Loop', ['trips', 'going', 'start'], ['total', 'sums'], { body: going })],
  }

  it('keeps long loops as loops, with gradients, where every trip is alike', async () => {
    const values = { x: randomTensor([40, 4], 8) }
    await expectAgrees(long, values)
    const model = readModel(modelBytes(long))
    const ops = topologicalOrder([...model.outputs.values()]).map(each => each.primitive.name)
    expect(ops.length).toBeLessThan(20)
    const [x, total] = [model.inputs.get('x')!, model.outputs.get('total')!]
    const [gradient] = interpret(grad(total.sum(), [x]), new Map([[x, values.x.data]]))
    const shifted = (step: number): number => {
      const moved = values.x.numbers()
      moved[39 * 4] += step
      return interpret([total.sum()], new Map([[x, moved]]))[0].data[0]
    }
    expect(gradient.data[39 * 4]).toBeCloseTo((shifted(1e-5) - shifted(-1e-5)) / 2e-5, 5)
  })

  it('unrolls long loops that end by their own count', () =>
    expectAgrees(looped(20, 40), { x: randomTensor([40, 4], 8) }))

  it.skipIf(!onnxPython)('writes loops that pass the ONNX checker', () => {
    const model = readModel(modelBytes(long))
    const exported = exportModel(Object.fromEntries(model.outputs), Object.fromEntries(model.inputs))
    expect(onnxChecker([exported])).toEqual(['ok'])
  })

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

  it.each([4, 30])('scans backwards along inner axes of %d', length =>
    expectAgrees(
      {
        opset: 16,
        inputs: { x: ['f32', [3, length]] },
        outputs: { last: ['f32', [3]], all: ['f32', [3, length]] },
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
      { x: randomTensor([3, length], 2) },
    ),
  )
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
