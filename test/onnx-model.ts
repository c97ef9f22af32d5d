import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create, toBinary } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { type DType, HostTensor } from '../src/core/index.ts'
import { onnxType } from '../src/core/onnx/types.ts'
import { tensorProto } from '../src/core/onnx/write.ts'

/** Sizes of a value as a file states them: numbers, names of open dimensions. */
export type Sizes = readonly (number | string)[]

export type AttributeValue =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | HostTensor
  | GraphProto
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  /** Stands for the attribute of this name of the function being called. */
  | { readonly ref: string; readonly type: AttributeType }

const encode = (text: string) => new TextEncoder().encode(text)
const isStrings = (value: readonly unknown[]): value is readonly string[] =>
  value.length > 0 && typeof value[0] === 'string'

function attribute(name: string, value: AttributeValue): AttributeProto {
  const base = { name }
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { ...base, type: AttributeType.INT, i: BigInt(value) })
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { ...base, type: AttributeType.STRING, s: encode(value) })
  if (value instanceof HostTensor)
    return create(AttributeProtoSchema, {
      ...base,
      type: AttributeType.TENSOR,
      t: tensorProto('', value.data, value.shape, value.dtype),
    })
  if (Array.isArray(value))
    return isStrings(value)
      ? create(AttributeProtoSchema, { ...base, type: AttributeType.STRINGS, strings: value.map(encode) })
      : create(AttributeProtoSchema, {
          ...base,
          type: AttributeType.INTS,
          ints: (value as readonly number[]).map(BigInt),
        })
  if ('float' in value) return create(AttributeProtoSchema, { ...base, type: AttributeType.FLOAT, f: value.float })
  if ('floats' in value)
    return create(AttributeProtoSchema, { ...base, type: AttributeType.FLOATS, floats: [...value.floats] })
  if ('ref' in value) return create(AttributeProtoSchema, { ...base, type: value.type, refAttrName: value.ref })
  return create(AttributeProtoSchema, { ...base, type: AttributeType.GRAPH, g: value as GraphProto })
}

/** One node: operator (with `domain.` in front where it is not ONNX's), input and output names, attributes. */
export function node(
  op: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  domain = '',
): NodeProto {
  return create(NodeProtoSchema, {
    opType: op,
    domain,
    input: [...input],
    output: [...output],
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  })
}

const valueInfo = (name: string, dtype: DType, sizes: Sizes | undefined): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, {
          elemType: onnxType(dtype),
          ...(sizes && {
            shape: create(TensorShapeProtoSchema, {
              dim: sizes.map(size =>
                create(
                  TensorShapeProto_DimensionSchema,
                  typeof size === 'number'
                    ? { value: { case: 'dimValue', value: BigInt(size) } }
                    : { value: size === '' ? { case: undefined } : { case: 'dimParam', value: size } },
                ),
              ),
            }),
          }),
        }),
      },
    }),
  })

export interface GraphDescription {
  readonly inputs?: Readonly<Record<string, readonly [DType, Sizes?]>>
  readonly outputs: Readonly<Record<string, readonly [DType, Sizes?]>> | readonly string[]
  readonly initializers?: Readonly<Record<string, HostTensor>>
  readonly nodes: readonly NodeProto[]
}

export function graph({ inputs = {}, outputs, initializers = {}, nodes }: GraphDescription): GraphProto {
  const named = Object.entries(inputs)
  const results: ValueInfoProto[] = Array.isArray(outputs)
    ? (outputs as readonly string[]).map(name => create(ValueInfoProtoSchema, { name }))
    : Object.entries(outputs as Readonly<Record<string, readonly [DType, Sizes?]>>).map(([name, [dtype, sizes]]) =>
        valueInfo(name, dtype, sizes),
      )
  return create(GraphProtoSchema, {
    name: 'graph',
    input: named.map(([name, [dtype, sizes]]) => valueInfo(name, dtype, sizes)),
    output: results,
    initializer: Object.entries(initializers).map(([name, value]) =>
      tensorProto(name, value.data, value.shape, value.dtype),
    ),
    node: [...nodes],
  })
}

export interface FunctionDescription {
  readonly name: string
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes?: readonly string[]
  readonly nodes: readonly NodeProto[]
}

export interface ModelDescription extends GraphDescription {
  readonly opset: number
  readonly domains?: readonly string[]
  readonly functions?: readonly FunctionDescription[]
}

export function modelProto(description: ModelDescription): ModelProto {
  const { opset, domains = [], functions = [] } = description
  const opsets = [{ domain: '', version: BigInt(opset) }, ...domains.map(domain => ({ domain, version: 1n }))]
  return create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: opsets.map(each => create(OperatorSetIdProtoSchema, each)),
    graph: graph(description),
    functions: functions.map(({ name, domain, inputs, outputs, attributes = [], nodes }) =>
      create(FunctionProtoSchema, {
        name,
        domain,
        input: [...inputs],
        output: [...outputs],
        attribute: [...attributes],
        node: [...nodes],
        opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
      }),
    ),
  })
}

/** The bytes of a small model written down by hand, as other programs would have written it. */
export const modelBytes = (description: ModelDescription): Uint8Array =>
  toBinary(ModelProtoSchema, modelProto(description))

/** Debian's Python, when it has the onnx package. */
export const onnxPython = ((): string | undefined => {
  const probe = spawnSync('/usr/bin/python3', ['-c', 'import onnx'], { stdio: 'ignore' })
  return probe.status === 0 ? '/usr/bin/python3' : undefined
})()

const script = `
import sys, onnx
for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(path, full_check=True)
        print('ok')
    except Exception as error:
        print(str(error).replace('\\n', ' '))
`

/** What the ONNX checker of python3-onnx says of each model: `ok`, or its complaint. Data files lie beside the models. */
export function onnxChecker(
  models: readonly { readonly model: Uint8Array; readonly data?: Uint8Array; readonly dataLocation?: string }[],
): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'tenet-onnx-'))
  try {
    const paths = models.map(({ model, data, dataLocation }, i) => {
      const path = join(folder, `model${i}.onnx`)
      writeFileSync(path, model)
      if (data && dataLocation) writeFileSync(join(folder, dataLocation), data)
      return path
    })
    const { stdout, stderr, status } = spawnSync(onnxPython!, ['-c', script, ...paths], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`the ONNX checker failed: ${stderr}`)
    return stdout.trim().split('\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}
