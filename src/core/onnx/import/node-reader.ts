import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf'
import type { DType } from '../../dtype.ts'
import type { HostTensor } from '../../runtime/host-tensor.ts'
import { formatShape } from '../../shape.ts'
import type { Tensor } from '../../tensor.ts'
import { quote, UnsupportedModel } from './failure.ts'
import { hostNumbers } from './fold.ts'
import { isFixed, type Known, toSizes, type Value } from './known.ts'
import { elementType, readTensor, type TensorSource } from './tensor-data.ts'

/** What node readers ask of the model around them. */
export interface ReadContext {
  readonly source: TensorSource
  /** Reads the body of a control-flow node with these values for its inputs; outer names stay visible. */
  subgraph(body: GraphProto, inputs: readonly Value[]): Value[]
  /** Throws {@link ValueNeeded}, naming the graph inputs that `tensor` depends on. */
  needsValue(what: string, tensor: Tensor): never
}

/** Tensors (or values) of a node's outputs; an output that cannot be given stays undefined. */
export type NodeOutputs = Tensor | Value | readonly (Tensor | Value | undefined)[]

/** Builds the Tenet graph of one ONNX node. */
export type OperatorReader = (node: NodeReader) => NodeOutputs

/** Readers of one family of operators, by operator type (with its domain in front where that is not ONNX's own). */
export type OperatorReaders = Readonly<Record<string, OperatorReader>>

/** One ONNX node, with its inputs as tensors and its attributes by name. Error messages leave out the node: the graph reader adds it. */
export class NodeReader {
  readonly op: string
  readonly #attributes: Map<string, AttributeProto>

  constructor(
    readonly proto: NodeProto,
    readonly values: readonly (Value | undefined)[],
    /** Version of the operator set that the node belongs to. */
    readonly opset: number,
    readonly context: ReadContext,
    attributes: readonly AttributeProto[] = proto.attribute,
  ) {
    this.op = proto.opType
    this.#attributes = new Map(attributes.map(attribute => [attribute.name, attribute]))
  }

  /** The same node over other inputs. */
  over(values: readonly (Value | undefined)[]): NodeReader {
    return new NodeReader(this.proto, values, this.opset, this.context, [...this.#attributes.values()])
  }

  /** Number of outputs the node names. */
  get outputs(): number {
    return this.proto.output.length
  }

  /** Whether output `i` is asked for. */
  wants(i: number): boolean {
    return (this.proto.output[i] ?? '') !== ''
  }

  has(i: number): boolean {
    return this.values[i] !== undefined
  }

  input(i: number): Tensor {
    return this.#value(i).tensor
  }

  optional(i: number): Tensor | undefined {
    return this.values[i]?.tensor
  }

  /** All inputs of a node that takes any number of them. */
  all(): Tensor[] {
    if (this.values.length === 0) throw new Error('expected at least one input')
    return this.values.map((_, i) => this.input(i))
  }

  #value(i: number): Value {
    const value = this.values[i]
    if (!value) throw new Error(`input ${i} is missing`)
    return value
  }

  /** Numbers of input `i`, which must not depend on anything given at run time. */
  numbers(i: number): number[] {
    const known = this.known(i)
    if (!isFixed(known))
      throw new Error(
        `input ${i} (${quote(this.proto.input[i])}) depends on the symbolic batch; give its size by { batch }`,
      )
    return [...known.fixed]
  }

  /** The one number of input `i`. */
  number(i: number): number {
    const numbers = this.numbers(i)
    if (numbers.length !== 1) throw new Error(`input ${i} must be one number, got ${numbers.length}`)
    return numbers[0]
  }

  /** Whole numbers of input `i`; see {@link numbers}. */
  integers(i: number): number[] {
    return this.numbers(i).map(value => {
      if (!Number.isInteger(value)) throw new Error(`input ${i} must hold whole numbers, got ${value}`)
      return value
    })
  }

  /** Numbers of input `i`, which may depend on the symbolic batch. */
  known(i: number): Known {
    const value = this.#value(i)
    if (value.known) return value.known
    const { tensor } = value
    const fixed = hostNumbers(tensor)
    if (!fixed) return this.context.needsValue(`input ${i} (${quote(this.proto.input[i])})`, tensor)
    return { shape: tensor.shape, fixed: [...fixed], batch: new Array<number>(fixed.length).fill(0) }
  }

  /** Sizes given by input `i`, multiples of the batch being negative as in a shape. */
  sizes(i: number): number[] {
    return toSizes(this.known(i))
  }

  /** Whether the numbers of input `i` are known while the graph is built. */
  isKnown(i: number): boolean {
    const value = this.values[i]
    return value !== undefined && (value.known !== undefined || hostNumbers(value.tensor) !== undefined)
  }

  #attribute(name: string, type: AttributeType): AttributeProto | undefined {
    const attribute = this.#attributes.get(name)
    // Files older than IR version 3 leave the type out.
    if (attribute && attribute.type !== type && attribute.type !== AttributeType.UNDEFINED)
      throw new Error(
        `attribute ${quote(name)} is ${AttributeType[attribute.type] ?? 'of an unknown type'}, expected ${AttributeType[type]}`,
      )
    return attribute
  }

  /** Whether the node carries this attribute. */
  carries(name: string): boolean {
    return this.#attributes.has(name)
  }

  int(name: string): number | undefined
  int(name: string, fallback: number): number
  int(name: string, fallback?: number): number | undefined {
    const attribute = this.#attribute(name, AttributeType.INT)
    return attribute ? Number(attribute.i) : fallback
  }

  /** A 0/1 attribute. */
  flag(name: string, fallback = false): boolean {
    return this.int(name, Number(fallback)) !== 0
  }

  float(name: string, fallback: number): number {
    return this.#attribute(name, AttributeType.FLOAT)?.f ?? fallback
  }

  string(name: string, fallback: string): string {
    const attribute = this.#attribute(name, AttributeType.STRING)
    return attribute ? new TextDecoder().decode(attribute.s) : fallback
  }

  /** A string attribute that must be one of `allowed`. */
  choice<T extends string>(name: string, fallback: T, allowed: readonly T[]): T {
    const value = this.string(name, fallback)
    const found = allowed.find(each => each === value)
    if (found === undefined)
      throw new Error(`attribute ${quote(name)} is ${quote(value)}, expected one of ${allowed.join(', ')}`)
    return found
  }

  strings(name: string): string[] | undefined {
    return this.#attribute(name, AttributeType.STRINGS)?.strings.map(bytes => new TextDecoder().decode(bytes))
  }

  ints(name: string): number[] | undefined
  ints(name: string, fallback: readonly number[]): number[]
  ints(name: string, fallback?: readonly number[]): number[] | undefined {
    const attribute = this.#attribute(name, AttributeType.INTS)
    return attribute ? attribute.ints.map(Number) : fallback && [...fallback]
  }

  floats(name: string): number[] | undefined {
    const attribute = this.#attribute(name, AttributeType.FLOATS)
    return attribute && [...attribute.floats]
  }

  tensor(name: string): HostTensor | undefined {
    const proto: TensorProto | undefined = this.#attribute(name, AttributeType.TENSOR)?.t
    return proto && readTensor(proto, this.context.source)
  }

  graph(name: string): GraphProto {
    const graph = this.#attribute(name, AttributeType.GRAPH)?.g
    if (!graph) throw new Error(`attribute ${quote(name)} (a graph) is missing`)
    return graph
  }

  /** The dtype an attribute names by its ONNX code. */
  dtype(name: string): DType | undefined {
    const code = this.int(name)
    return code === undefined ? undefined : elementType(code, this.context.source)
  }

  /** Whole numbers that are an attribute in older operator sets and input `i` in newer ones. */
  integersOf(name: string, i: number): number[] | undefined {
    return this.has(i) ? this.integers(i) : this.ints(name)
  }

  /** Refuses something the operator allows and Tenet does not read. */
  unsupported(limit: UnsupportedModel['limit'], what: string): never {
    throw new UnsupportedModel(limit, what)
  }

  /** Throws unless input `i` has this many axes. */
  requireRank(i: number, rank: number): Tensor {
    const input = this.input(i)
    if (input.rank !== rank) throw new Error(`input ${i} is ${formatShape(input.shape)}, expected ${rank} axes`)
    return input
  }
}
