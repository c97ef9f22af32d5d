import { fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { ModelProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { integers, randomTensor } from '../../../test/check.ts'
import { graph, modelBytes, node } from '../../../test/onnx-model.ts'
import { hostTensor, interpret, type ReadModel, readModel, topologicalOrder } from '../index.ts'

/** A model with many kinds of nodes, so that a flipped byte meets many readers. */
const rich = modelBytes({
  opset: 17,
  inputs: { x: ['f32', ['batch', 2, 4]], ids: ['i64', ['batch']] },
  outputs: ['y', 'picked', 'total'],
  initializers: {
    w: randomTensor([4, 3], 1),
    table: randomTensor([5, 3], 2),
    axes: integers([1]),
    target: integers([0, -1]),
    starts: integers([0]),
    ends: integers([2]),
    trips: integers([3], []),
    scale: hostTensor([0.1], []),
    zero: hostTensor([7], [], 'u8'),
  },
  nodes: [
    node('MatMul', ['x', 'w'], ['h']),
    node('Softmax', ['h'], ['s'], { axis: -1 }),
    node('Transpose', ['s'], ['t'], { perm: [0, 2, 1] }),
    node('Reshape', ['t', 'target'], ['r']),
    node('QuantizeLinear', ['r', 'scale', 'zero'], ['q']),
    node('DequantizeLinear', ['q', 'scale', 'zero'], ['d']),
    node('Slice', ['d', 'starts', 'ends', 'axes'], ['y']),
    node('Gather', ['table', 'ids'], ['picked'], { axis: 0 }),
    node('Loop', ['trips', '', 'y'], ['looped'], {
      body: graph({
        inputs: { trip: ['i64', []], going: ['bool', []], a: ['f32'] },
        outputs: ['going', 'b'],
        nodes: [node('Mul', ['a', 'scale'], ['b'])],
      }),
    }),
    node('ReduceSum', ['looped'], ['total'], { keepdims: 0 }),
  ],
})

const SMALL = 10_000

/** Reading either works, and then the graph computes, or fails with one line; nothing else is allowed to happen. */
function readsOrRefuses(bytes: Uint8Array): void {
  let model: ReadModel
  try {
    model = readModel(bytes, { batch: 2 })
  } catch (error) {
    expect(error).toBeInstanceOf(Error)
    const { message } = error as Error
    expect(message).toMatch(/^onnx: [^\n\r]+$/)
    expect(message.length).toBeLessThan(600)
    return
  }
  const inputs = [...model.inputs.values()]
  const outputs = [...model.outputs.values()]
  if ([...inputs, ...outputs].some(({ size }) => Math.abs(size) > SMALL)) return
  // A loop that has become very long is legal, and would run for as long.
  if (topologicalOrder(outputs).some(({ primitive }) => primitive.name === 'scan')) return
  const bound = new Map(
    inputs.map(input => [input, new Float64Array(input.shape.reduce((a, b) => a * Math.abs(b), 1))]),
  )
  try {
    const results = interpret(outputs, bound)
    expect(results).toHaveLength(model.outputs.size)
  } catch (error) {
    // Indices computed from data may leave their axis.
    expect((error as Error).message).toMatch(/out of range/)
  }
}

describe('damaged bytes', () => {
  it('the undamaged model works', () => {
    const model = readModel(rich, { batch: 2 })
    expect([...model.outputs.values()].map(({ shape }) => shape)).toEqual([[2, 2], [2, 3], []])
    readsOrRefuses(rich)
  })

  it('any flipped byte gives a working model or one clear line', () => {
    fc.assert(
      fc.property(fc.nat(rich.length - 1), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const damaged = rich.slice()
        damaged[place] ^= change
        readsOrRefuses(damaged)
      }),
      { numRuns: 3000 },
    )
  })

  it('so does any truncation', () => {
    for (let length = 0; length < rich.length; length += 3) readsOrRefuses(rich.slice(0, length))
  })

  it('so do several changes at once, and bytes put in or taken out', () => {
    const edit = fc.record({
      place: fc.nat(rich.length - 1),
      remove: fc.nat(4),
      insert: fc.uint8Array({ maxLength: 4 }),
    })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), edits => {
        let damaged = [...rich]
        for (const { place, remove, insert } of edits)
          damaged = [...damaged.slice(0, place), ...insert, ...damaged.slice(place + remove)]
        readsOrRefuses(Uint8Array.from(damaged))
      }),
      { numRuns: 600 },
    )
  })

  it('and random changes of fields that keep the file well-formed', () => {
    const proto = fromBinary(ModelProtoSchema, rich)
    const { node: nodes } = proto.graph!
    const names = [...new Set(nodes.flatMap(each => [...each.input, ...each.output]))]
    const ops = [
      'Add',
      'Reshape',
      'Gather',
      'TopK',
      'Split',
      'Expand',
      'Squeeze',
      'Conv',
      'Concat',
      'Pad',
      'Where',
      'Einsum',
      'STFT',
      'Range',
      'Resize',
      'Tile',
      'LSTM',
      'If',
      'Det',
      'Trilu',
      'EyeLike',
      'OneHot',
      'ScatterND',
      'ConstantOfShape',
    ]
    const change = fc.record({
      node: fc.nat(nodes.length - 1),
      input: fc.nat(3),
      name: fc.constantFrom(...names),
      op: fc.option(fc.constantFrom(...ops)),
    })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), changes => {
        const damaged = fromBinary(ModelProtoSchema, rich)
        for (const { node: which, input, name, op } of changes) {
          const target = damaged.graph!.node[which]
          target.input[input % (target.input.length + 1)] = name
          if (op) target.opType = op
        }
        readsOrRefuses(toBinary(ModelProtoSchema, damaged))
      }),
      { numRuns: 1500 },
    )
  })
})
