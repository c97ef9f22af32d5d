import { create, toBinary } from '@bufbuild/protobuf'
import {
  type ModelProto,
  ModelProtoSchema,
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TypeProto_SequenceSchema,
  TypeProtoSchema,
} from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { integers, randomTensor } from '../../../test/check.ts'
import { graph, type ModelDescription, modelBytes, modelProto, node } from '../../../test/onnx-model.ts'
import { type ReadModel, type ReadOptions, readModel, safeExternalLocation, staysInside } from '../index.ts'

const base: ModelDescription = {
  opset: 17,
  inputs: { x: ['f32', [2, 4]] },
  outputs: { y: ['f32', [2, 3]] },
  initializers: { w: randomTensor([4, 3], 1), b: randomTensor([3], 2) },
  nodes: [node('MatMul', ['x', 'w'], ['h']), node('Add', ['h', 'b'], ['y'])],
}

/** Reads a damaged version of the base model. */
function readDamaged(damage: (model: ModelProto) => void, options?: ReadOptions): ReadModel {
  const model = modelProto(base)
  damage(model)
  return readModel(toBinary(ModelProtoSchema, model), options)
}

const readNodes = (nodes: ModelDescription['nodes'], changes: Partial<ModelDescription> = {}): ReadModel =>
  readModel(modelBytes({ ...base, outputs: ['y'], ...changes, nodes }))

function messageOf(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing was thrown'
}

describe('malformed files give one line that says what is wrong', () => {
  const bytes = modelBytes(base)

  it.each([
    ['nothing', new Uint8Array(0), 'onnx: these 0 bytes hold no graph: not an ONNX model'],
    [
      'text',
      new TextEncoder().encode('<html>not found</html>'),
      /^onnx: these 22 bytes are no ONNX model, or the file is truncated/,
    ],
    [
      'a truncated file',
      bytes.slice(0, bytes.length - 30),
      /^onnx: these \d+ bytes are no ONNX model, or the file is truncated/,
    ],
    ['the beginning alone', bytes.slice(0, 2), /^onnx: these 2 bytes hold no graph/],
  ])('%s', (_, given, message) => {
    expect(() => readModel(given)).toThrow(message)
  })

  it.each<[string, () => unknown, string]>([
    [
      'a cycle',
      () => readNodes([node('Add', ['x', 'b1'], ['a1']), node('Exp', ['a1'], ['b1']), node('Exp', ['b1'], ['y'])]),
      "onnx: node 0 (Add): it reads 'b1', which only a later node makes: the graph is cyclic or out of order",
    ],
    [
      'a node that reads itself',
      () => readNodes([node('Add', ['x', 'y'], ['y'])]),
      "onnx: node 0 (Add): it reads 'y', which only a later node makes: the graph is cyclic or out of order",
    ],
    [
      'an input that nothing makes',
      () => readNodes([node('Add', ['x', 'ghost'], ['y'])]),
      "onnx: node 0 (Add): it reads 'ghost', which is no input, initializer or output of a node",
    ],
    ['an input left out', () => readNodes([node('Add', ['x'], ['y'])]), 'onnx: node 0 (Add): input 1 is missing'],
    [
      'one name for two values',
      () => readNodes([node('Exp', ['x'], ['y']), node('Neg', ['x'], ['y'])]),
      "onnx: node 1 (Neg): the name 'y' is given to two values of one graph",
    ],
    [
      'one name for two initializers',
      () => readDamaged(model => model.graph!.initializer.push(model.graph!.initializer[0])),
      "onnx: initializer 'w': the name 'w' is given to two values of one graph",
    ],
    [
      'an output that nothing makes',
      () => readModel(modelBytes({ ...base, outputs: ['z'] })),
      "onnx: output 'z': output 'z' is made by no node, input or initializer",
    ],
    ['no outputs', () => readModel(modelBytes({ ...base, outputs: [] })), 'onnx: the graph has no outputs'],
    [
      'an operator that is not there',
      () => readNodes([node('Frobnicate', ['x'], ['y'])]),
      "onnx: node 0 (Frobnicate): the operator 'Frobnicate' is not supported",
    ],
    [
      'a domain without a version',
      () => readNodes([node('Frobnicate', ['x'], ['y'], {}, 'com.example')]),
      "onnx: node 0 (Frobnicate): the operator 'com.example.Frobnicate' is not supported",
    ],
    [
      'a future operator set',
      () => readModel(modelBytes({ ...base, opset: 99 })),
      'onnx: the model uses operator set 99; 1 to 21 are supported',
    ],
    [
      'sizes that do not match their bytes',
      () => readDamaged(model => model.graph!.initializer[0].dims.push(2n)),
      "onnx: initializer 'w': 48 bytes of data do not fill [4,3,2], which takes 96",
    ],
    [
      'a tensor larger than the file',
      () =>
        readDamaged(model => {
          model.graph!.initializer[0].dims = [2n ** 62n, 4n]
        }),
      "onnx: initializer 'w': sizes [4611686018427387904,4] make more than 2^31 elements",
    ],
    [
      'a negative size',
      () =>
        readDamaged(model => {
          model.graph!.initializer[0].dims = [-4n, -3n]
        }),
      "onnx: initializer 'w': size -4 is negative",
    ],
    [
      'too few values',
      () =>
        readDamaged(model => {
          model.graph!.initializer[1].rawData = new Uint8Array(0)
        }),
      "onnx: initializer 'b': 0 values of data do not fill [3], which takes 3",
    ],
    [
      'an unknown element type',
      () =>
        readDamaged(model => {
          model.graph!.initializer[1].dataType = 77
        }),
      "onnx: initializer 'b': element type number 77 is not supported",
    ],
    [
      'strings',
      () =>
        readDamaged(model => {
          model.graph!.initializer[1].dataType = 8
        }),
      "onnx: initializer 'b': element type string is not supported",
    ],
    [
      'a sequence as input',
      () =>
        readDamaged(model => {
          model.graph!.input[0].type = create(TypeProtoSchema, {
            value: { case: 'sequenceType', value: create(TypeProto_SequenceSchema) },
          })
        }),
      "onnx: input 'x': sequenceType is not supported",
    ],
    [
      'a sparse initializer',
      () => readDamaged(model => model.graph!.sparseInitializer.push(create(SparseTensorProtoSchema))),
      'onnx: sparse initializers are not supported',
    ],
    [
      'shapes that do not fit',
      () => readNodes([node('MatMul', ['w', 'x'], ['y'])]),
      'onnx: node 0 (MatMul): matmul: [4,3] and [2,4] disagree on the inner size (3 and 2)',
    ],
    [
      'an output of another shape than declared',
      () => readModel(modelBytes({ ...base, outputs: { y: ['f32', [2, 4]] } })),
      "onnx: output 'y': declared as [2,4], but its node makes [2,3]",
    ],
    [
      'an output of another type than declared',
      () => readModel(modelBytes({ ...base, outputs: { y: ['i64', [2, 3]] } })),
      "onnx: output 'y': declared as i64, but its node makes f32",
    ],
    [
      'an attribute of the wrong kind',
      () => readNodes([node('Concat', ['x', 'x'], ['y'], { axis: 'first' })]),
      "onnx: node 0 (Concat): attribute 'axis' is STRING, expected INT",
    ],
    [
      'an attribute with no such value',
      () => readNodes([node('Gelu', ['x'], ['y'], { approximate: 'loosely' })]),
      "onnx: node 0 (Gelu): attribute 'approximate' is 'loosely', expected one of none, tanh",
    ],
    [
      'names that would break the line',
      () => readNodes([node('Add', ['x', `two\nlines\u001b[2J${'!'.repeat(200)}`], ['y'])]),
      `onnx: node 0 (Add): it reads 'two?lines?[2J${'!'.repeat(67)}…', which is no input, initializer or output of a node`,
    ],
  ])('%s', (_, read, message) => {
    expect(messageOf(read)).toBe(message)
  })
})

describe('names that objects inherit', () => {
  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('%s is a name like any other', name => {
    const model = readModel(
      modelBytes({
        ...base,
        inputs: { x: ['f32', [2, 4]], [name]: ['f32', [name, 4]] },
        outputs: [`${name}Sum`],
        nodes: [node('Add', ['x', name], [`${name}Sum`])],
      }),
      { batch: 2, values: {}, dims: {}, shapes: {} },
    )
    expect([...model.inputs.keys()]).toEqual(['x', name])
    expect(model.outputs.get(`${name}Sum`)?.shape).toEqual([2, 4])
  })
})

describe('absurd sizes cost nothing', () => {
  const huge = integers([2 ** 40, 2 ** 20])
  const constants = {
    initializers: { huge, zero: integers([0], []), many: integers([2 ** 50], []), one: integers([1], []) },
  }

  it.each([
    ['Expand', [node('Expand', ['one', 'huge'], ['y'])], /would have more than 2\^31 elements/],
    ['ConstantOfShape', [node('ConstantOfShape', ['huge'], ['y'])], /would have more than 2\^31 elements/],
    ['Tile', [node('Reshape', ['one', 'pair'], ['r']), node('Tile', ['r', 'huge'], ['y'])], /more than 2\^31 elements/],
    ['Range', [node('Range', ['zero', 'many', 'one'], ['y'])], /makes 1125899906842624 numbers/],
    ['OneHot', [node('OneHot', ['zero', 'many', 'two'], ['y'])], /a depth of 1125899906842624 is not possible/],
    ['HannWindow', [node('HannWindow', ['many'], ['y'])], /the length is 1125899906842624, expected 1 to 8192/],
    ['Pad', [node('Pad', ['x', 'pads'], ['y'])], /more than 2\^31 elements/],
    [
      'Loop',
      [
        node('Loop', ['many', '', 'x'], ['y'], {
          body: graph({
            inputs: { trip: ['i64', []], going: ['bool', []], a: ['f32'] },
            outputs: ['going', 'b'],
            nodes: [node('Exp', ['a'], ['b'])],
          }),
        }),
      ],
      /it makes more than 10000 trips/,
    ],
  ])('%s', (_, nodes, message) => {
    const initializers = {
      ...constants.initializers,
      pair: integers([1, 1]),
      two: integers([0, 1]),
      pads: integers([2 ** 40, 0, 0, 0]),
    }
    const start = performance.now()
    expect(() => readNodes(nodes, { initializers })).toThrow(message)
    expect(performance.now() - start).toBeLessThan(2000)
  })

  it('a chain of functions that doubles at every step stops at a limit', () => {
    const functions = Array.from({ length: 40 }, (_, i) => ({
      name: `f${i}`,
      domain: 'own',
      inputs: ['a'],
      outputs: ['c'],
      nodes: i
        ? [node(`f${i - 1}`, ['a'], ['b'], {}, 'own'), node(`f${i - 1}`, ['b'], ['c'], {}, 'own')]
        : [node('Neg', ['a'], ['c'])],
    }))
    const call = [node('f39', ['x'], ['y'], {}, 'own')]
    expect(() => readNodes(call, { functions, domains: ['own'] })).toThrow(/nested more than 32 deep/)
    const self = [{ ...functions[0], name: 'f39', nodes: [node('f39', ['a'], ['c'], {}, 'own')] }]
    expect(() => readNodes(call, { functions: self, domains: ['own'] })).toThrow(/nested more than 32 deep/)
  })
})

describe('external data', () => {
  const beside = (entries: Record<string, string>) => (model: ModelProto) => {
    const [tensor] = model.graph!.initializer
    tensor.rawData = new Uint8Array(0)
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    )
  }
  const file = new Uint8Array(60)

  it.each<[Record<string, string>, string]>([
    [{}, "external data '': the location is empty"],
    [{ location: '/etc/passwd' }, "external data '/etc/passwd': the location is absolute"],
    [{ location: 'C:\\secrets' }, 'the location holds a backslash'],
    [{ location: 'c:secrets' }, 'the location is a URL or starts with a drive letter'],
    [{ location: 'file:///etc/passwd' }, 'the location is a URL or starts with a drive letter'],
    [{ location: '../weights' }, "the location leaves its folder by '..'"],
    [{ location: 'a/./../../weights' }, "the location leaves its folder by '..'"],
    [{ location: 'a\0b' }, 'the location holds a NUL byte'],
    [{ location: './' }, 'the location names a folder'],
    [{ location: 'w', offset: '13' }, "external data end at byte 61, after the end of 'w' (60 bytes)"],
    [{ location: 'w', offset: '-4' }, "external data: offset '-4' is not a whole number"],
    [{ location: 'w', offset: '1e3' }, "external data: offset '1e3' is not a whole number"],
    [{ location: 'w', length: '47' }, 'external data of 47 bytes do not fill [4,3], which takes 48'],
  ])('%j is refused', (entries, message) => {
    expect(() => readDamaged(beside(entries), { externalData: () => file })).toThrow(message)
    expect(() => readDamaged(beside(entries), { externalData: () => file })).toThrow(/^onnx: initializer 'w': /)
  })

  it('is asked for by its cleaned path, and only when there is someone to ask', () => {
    const asked: string[] = []
    readDamaged(beside({ location: './data//w.bin', offset: '12' }), {
      externalData: location => {
        asked.push(location)
        return file
      },
    })
    expect(asked).toEqual(['data/w.bin'])
    expect(() => readDamaged(beside({ location: 'w.bin' }))).toThrow(
      "onnx: initializer 'w': its data lie in 'w.bin': read the model with { externalData } to give that file's bytes",
    )
    expect(() =>
      readDamaged(beside({ location: 'w.bin' }), {
        externalData: () => {
          throw new Error('ENOENT: no such file')
        },
      }),
    ).toThrow("onnx: initializer 'w': ENOENT: no such file")
  })

  it('knows safe locations and resolved paths inside a folder', () => {
    expect(safeExternalLocation('weights..bin')).toBe('weights..bin')
    expect(safeExternalLocation('a/b/./c.data')).toBe('a/b/c.data')
    expect(staysInside('/models/a', '/models/a/w.bin')).toBe(true)
    expect(staysInside('/models/a/', '/models/a/b/w.bin')).toBe(true)
    expect(staysInside('/models/a', '/models/ab/w.bin')).toBe(false)
    expect(staysInside('/models/a', '/models/a')).toBe(false)
    expect(staysInside('/models/a', '/etc/passwd')).toBe(false)
  })
})
