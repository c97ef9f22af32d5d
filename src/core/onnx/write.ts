import { create, toBinary } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type StringStringEntryProto,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_SequenceSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import type { DType, HostData } from '../dtype.ts'
import { fromNumbers } from '../dtype.ts'
import type { Lowering, OnnxAttribute, OnnxSubgraph } from '../primitive.ts'
import { isSymbolic, type Shape } from '../shape.ts'
import { attributeKey } from '../simplify.ts'
import { type Node, type Tensor, topologicalOrder, type Variable } from '../tensor.ts'
import { onnxType } from './types.ts'

/** Opset written when nothing in a graph asks for more (docs/decisions/0003). */
export const BASE_OPSET = 17

export interface NamedTensor {
  readonly name: string
  readonly tensor: Tensor
}

export interface WriteOptions {
  /** Which kernels will run it; default `cpu`. */
  readonly device?: string
  /** False keeps to standard ONNX operators, for files that other runtimes read; default true. */
  readonly contributed?: boolean
  /** How many channels this machine's kernels keep side by side; default 0: no blocked layout. */
  readonly channelBlock?: number
  readonly producer?: string
  /** Tensors whose present values are written into the file under these names. */
  readonly parameters?: readonly NamedTensor[]
  /** Name of an extra first output, an empty sequence of tensors: see `Program`. */
  readonly barrier?: string
  /** Gathers the bytes of large tensors, which then lie beside the model instead of inside it. */
  readonly beside?: DataFile
  /** Key-value pairs kept in the file. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** Bytes that lie in a file beside the model, which refers to them by place. */
export interface DataFile {
  readonly location: string
  /** Takes the bytes of one tensor and returns the offset they are kept at, or undefined to leave them in the model. */
  add(bytes: Uint8Array): number | undefined
}

/** A written model, with the byte arrays that outlive it. */
export interface WrittenModel {
  readonly bytes: Uint8Array
  readonly nodes: number
}

/**
 * Writes a graph as an ONNX ModelProto.
 * @param inputs leaves that become graph inputs; every other leaf must be a constant
 * @param outputs what the model computes
 */
export function writeModel(
  inputs: readonly NamedTensor[],
  outputs: readonly NamedTensor[],
  options: WriteOptions = {},
): WrittenModel {
  const order = topologicalOrder(outputs.map(({ tensor }) => tensor))
  const opset = Math.max(BASE_OPSET, ...order.map(node => requiredOpset(node)))
  const { parameters = [], beside } = options
  const reserved = new Set([...inputs, ...outputs, ...parameters].map(({ name }) => name))
  const shared: Shared = { next: 0, domains: new Set(), reserved, beside, channelBlock: options.channelBlock ?? 0 }
  const writer = new GraphWriter(opset, options.contributed ?? true, options.device ?? 'cpu', inputs, shared)
  writer.parameters(parameters)
  const graph = writer.write(order, inputs, outputs)
  if (options.barrier) addEmptySequence(graph, options.barrier)
  const domains = new Set(graph.node.map(node => node.domain).concat(writer.domains()))
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    producerName: options.producer ?? 'tenet',
    metadataProps: pairs(options.metadata ?? {}),
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) }),
      ...[...domains].filter(Boolean).map(domain => create(OperatorSetIdProtoSchema, { domain, version: 1n })),
    ],
    graph,
  })
  return { bytes: toBinary(ModelProtoSchema, model), nodes: graph.node.length }
}

function addEmptySequence(graph: GraphProto, name: string): void {
  graph.node.unshift(create(NodeProtoSchema, { opType: 'SequenceEmpty', output: [name] }))
  const elemType = create(TypeProtoSchema, {
    value: { case: 'tensorType', value: create(TypeProto_TensorSchema, { elemType: onnxType('f32') }) },
  })
  const type = create(TypeProtoSchema, {
    value: { case: 'sequenceType', value: create(TypeProto_SequenceSchema, { elemType }) },
  })
  graph.output.unshift(create(ValueInfoProtoSchema, { name, type }))
}

/** Subgraphs count too: a loop's body may hold the operator that asks for more. */
function requiredOpset(node: Node): number {
  const bodies = Object.values(node.attributes).filter((value): value is OnnxSubgraph => isSubgraph(value))
  const inner = bodies.flatMap(body => topologicalOrder(body.outputs).map(requiredOpset))
  return Math.max(node.primitive.opset ?? BASE_OPSET, ...inner)
}

const isSubgraph = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'inputs' in value &&
  'outputs' in value &&
  Array.isArray((value as OnnxSubgraph).outputs)

interface Shared {
  next: number
  readonly domains: Set<string>
  /** Names that values between nodes must not take. */
  readonly reserved: ReadonlySet<string>
  readonly beside?: DataFile
  readonly channelBlock: number
}

class GraphWriter implements Lowering {
  readonly #nodes: NodeProto[] = []
  readonly #initializers: TensorProto[] = []
  readonly #constants = new Map<string, string>()
  readonly #names = new Map<Tensor, string>()
  #batchSource: { name: string; axis: number; factor: number } | undefined

  constructor(
    readonly opset: number,
    readonly contributed: boolean,
    readonly device: string,
    inputs: readonly NamedTensor[],
    readonly shared: Shared,
  ) {
    for (const { name, tensor } of inputs) {
      this.#names.set(tensor, name)
      const axis = tensor.shape.findIndex(dim => dim < 0)
      if (axis >= 0) this.#batchSource ??= { name, axis, factor: -tensor.shape[axis] }
    }
  }

  /** Writes the values of variables as initialisers. */
  parameters(parameters: readonly NamedTensor[]): void {
    for (const { name, tensor } of parameters) {
      const { data, shape, dtype } = tensor as Variable
      this.#initializers.push(tensorProto(name, data, shape, dtype, this.shared.beside))
      this.#names.set(tensor, name)
    }
  }

  get channelBlock(): number {
    return this.shared.channelBlock
  }

  domains(): string[] {
    return [...this.shared.domains]
  }

  write(order: readonly Node[], inputs: readonly NamedTensor[], outputs: readonly NamedTensor[]): GraphProto {
    for (const node of order) {
      if (node.outputs.every(output => this.#names.has(output))) continue
      const lowered = node.primitive.lower(
        this,
        node.inputs.map(input => this.#names.get(input)!),
        node,
      )
      const names = typeof lowered === 'string' ? [lowered] : lowered
      node.outputs.forEach((output, i) => {
        this.#names.set(output, names[i])
      })
    }
    this.#nameOutputs(outputs)
    return create(GraphProtoSchema, {
      name: 'tenet',
      node: this.#nodes,
      initializer: this.#initializers,
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
    })
  }

  /** Gives computed values their output names; an output that is an input, a constant or another output is copied. */
  #nameOutputs(outputs: readonly NamedTensor[]): void {
    const producers = new Map(this.#nodes.flatMap(node => node.output.map((name): [string, NodeProto] => [name, node])))
    const renamed = new Map<string, string>()
    const copies: [string, string][] = []
    for (const { name, tensor } of outputs) {
      const value = this.#names.get(tensor)!
      if (producers.has(value) && !renamed.has(value)) renamed.set(value, name)
      else copies.push([value, name])
    }
    for (const node of this.#nodes) {
      renameReads(node, renamed)
      node.output = node.output.map(name => renamed.get(name) ?? name)
    }
    for (const [value, name] of copies) this.#push('Identity', [renamed.get(value) ?? value], [name])
  }

  #fresh(): string {
    let name: string
    do name = `v${this.shared.next++}`
    while (this.shared.reserved.has(name))
    return name
  }

  #push(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Record<string, OnnxAttribute> = {},
    domain = '',
  ): void {
    if (domain) this.shared.domains.add(domain)
    this.#nodes.push(
      create(NodeProtoSchema, {
        opType: op,
        input: [...inputs],
        output: [...outputs],
        domain,
        attribute: Object.entries(attributes).map(([name, value]) => this.#attribute(name, value)),
      }),
    )
  }

  emit(op: string, inputs: readonly string[], attributes?: Record<string, OnnxAttribute>, domain?: string): string {
    const output = this.#fresh()
    this.#push(op, inputs, [output], attributes, domain)
    return output
  }

  emitMany(
    op: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: Record<string, OnnxAttribute>,
    domain?: string,
  ): string[] {
    const names = Array.from({ length: outputs }, () => this.#fresh())
    this.#push(op, inputs, names, attributes, domain)
    return names
  }

  constant(data: HostData, shape: Shape, dtype: DType): string {
    const key = `${dtype}[${shape}]${attributeKey(data)}`
    const known = this.#constants.get(key)
    if (known) return known
    const name = this.#fresh()
    this.#initializers.push(tensorProto(name, data, shape, dtype, this.shared.beside))
    this.#constants.set(key, name)
    return name
  }

  scalar(value: number, dtype: DType): string {
    return this.constant(fromNumbers(dtype, [value]), [], dtype)
  }

  ints(values: readonly number[]): string {
    const data = BigInt64Array.from(values, value => (value === Number.MIN_SAFE_INTEGER ? -(2n ** 62n) : BigInt(value)))
    return this.constant(data, [values.length], 'i64')
  }

  shape(shape: Shape): string {
    if (!isSymbolic(shape)) return this.ints(shape)
    if (!this.#batchSource) throw new Error('export: the graph has a symbolic batch but no input carries it')
    const { name, axis, factor } = this.#batchSource
    const dim = this.emit('Slice', [this.emit('Shape', [name]), this.ints([axis]), this.ints([axis + 1])])
    const batch = factor === 1 ? dim : this.emit('Div', [dim, this.ints([factor])])
    const parts = shape.map(size =>
      size >= 0 ? this.ints([size]) : size === -1 ? batch : this.emit('Mul', [batch, this.ints([-size])]),
    )
    return parts.length === 1 ? parts[0] : this.emit('Concat', parts, { axis: { int: 0 } })
  }

  #attribute(name: string, value: OnnxAttribute): AttributeProto {
    if ('int' in value) return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value.int) })
    if ('ints' in value)
      return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.ints.map(BigInt) })
    if ('float' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float })
    if ('floats' in value)
      return create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...value.floats] })
    if ('string' in value)
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.STRING,
        s: new TextEncoder().encode(value.string),
      })
    if ('tensor' in value) {
      const { data, shape, dtype } = value.tensor
      return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: tensorProto('', data, shape, dtype) })
    }
    return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: this.#subgraph(value.graph) })
  }

  #subgraph({ inputs, outputs, captures = [] }: OnnxSubgraph): GraphProto {
    const named = inputs.map((tensor): NamedTensor => ({ name: this.#fresh(), tensor }))
    const outer = captures.map(([tensor, name]): NamedTensor => ({ name, tensor }))
    const writer = new GraphWriter(this.opset, this.contributed, this.device, [...named, ...outer], this.shared)
    writer.#batchSource ??= this.#batchSource
    const results = outputs.map((tensor): NamedTensor => ({ name: this.#fresh(), tensor }))
    return writer.write(topologicalOrder(outputs), named, results)
  }
}

/** Loop bodies read values of the graph around them by name, too. */
function renameReads(node: NodeProto, renamed: ReadonlyMap<string, string>): void {
  node.input = node.input.map(name => renamed.get(name) ?? name)
  for (const { g } of node.attribute) for (const inner of g?.node ?? []) renameReads(inner, renamed)
}

const pairs = (record: Readonly<Record<string, string>>): StringStringEntryProto[] =>
  Object.entries(record).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }))

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** A TensorProto over the bytes of a typed array, or over their place in a data file. */
export function tensorProto(name: string, data: HostData, shape: Shape, dtype: DType, beside?: DataFile): TensorProto {
  if (!isLittleEndian) throw new Error('ONNX files hold little-endian numbers; this machine is big-endian')
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength)
  const offset = beside?.add(bytes)
  const proto = create(TensorProtoSchema, { name, dataType: onnxType(dtype), dims: shape.map(BigInt) })
  if (offset === undefined) {
    proto.rawData = bytes
    return proto
  }
  const place = { location: beside!.location, offset: String(offset), length: String(bytes.length) }
  proto.dataLocation = TensorProto_DataLocation.EXTERNAL
  proto.externalData = pairs(place)
  return proto
}

function valueInfo({ name, tensor }: NamedTensor): ValueInfoProto {
  const dim = tensor.shape.map(size =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        size >= 0
          ? { case: 'dimValue', value: BigInt(size) }
          : { case: 'dimParam', value: size === -1 ? 'batch' : `${-size}*batch` },
    }),
  )
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, {
          elemType: onnxType(tensor.dtype),
          shape: create(TensorShapeProtoSchema, { dim }),
        }),
      },
    }),
  })
}
