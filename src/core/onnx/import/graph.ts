import type { AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto } from 'onnx-buf'
import { isFloat } from '../../dtype.ts'
import type { Shape } from '../../shape.ts'
import { constant, Tensor, topologicalOrder, Variable } from '../../tensor.ts'
import { quote, UnsupportedModel, ValueNeeded, within } from './failure.ts'
import { foldConstants, requireReasonableSize } from './fold.ts'
import type { Value } from './known.ts'
import { type NodeOutputs, NodeReader, type OperatorReader, type ReadContext } from './node-reader.ts'
import { operators } from './operators.ts'
import { knownValues, propagate } from './propagate.ts'
import { readTensor, type TensorSource } from './tensor-data.ts'

/** Nodes read in all, loops unrolled. */
const MAX_NODES = 500_000
/** Subgraphs and functions inside one another. */
const MAX_DEPTH = 32

const isStandard = (domain: string): boolean => domain === '' || domain === 'ai.onnx'

/** The key of an operator among the readers: its type, with the domain in front where that is not ONNX's own. */
export const operatorKey = ({ domain, opType }: Pick<NodeProto, 'domain' | 'opType'>): string =>
  isStandard(domain) ? opType : `${domain}.${opType}`

/** What every graph of one model shares while it is read. */
export interface ModelReading {
  readonly source: TensorSource
  readonly functions: ReadonlyMap<string, FunctionProto>
  nodes: number
}

/** Versions of the operator sets a graph is written in, by domain. */
export type OpsetVersions = ReadonlyMap<string, number>

/** Reads the nodes of one graph (or function body) into tensors. */
export class GraphReader {
  readonly #values = new Map<string, Value>()

  constructor(
    readonly reading: ModelReading,
    readonly opsets: OpsetVersions,
    readonly outer: GraphReader | undefined = undefined,
    readonly depth = 0,
    /** Attributes given to the function whose body this is. */
    readonly given: ReadonlyMap<string, AttributeProto> = new Map(),
  ) {
    if (depth > MAX_DEPTH) throw new Error(`subgraphs are nested more than ${MAX_DEPTH} deep`)
  }

  /** Gives a name its value. @throws when the graph already has that name */
  define(name: string, value: Value): void {
    if (this.#values.has(name)) throw new Error(`the name ${quote(name)} is given to two values of one graph`)
    this.#values.set(name, value)
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** The value of a name here or in a graph around this one. */
  find(name: string): Value | undefined {
    for (let graph: GraphReader | undefined = this; graph; graph = graph.outer) {
      const value = graph.#values.get(name)
      if (value) return value
    }
    return undefined
  }

  /** Reads initialisers: floating-point ones that can be trained become variables, others constants. */
  initializers(tensors: readonly TensorProto[], trainable: (name: string, shape: Shape) => boolean): void {
    for (const proto of tensors) {
      try {
        const { data, shape, dtype } = readTensor(proto, this.reading.source)
        const learns = isFloat(dtype) && trainable(proto.name, shape)
        const tensor = learns ? new Variable(data, shape, dtype, proto.name) : constant(data, shape, dtype)
        this.define(proto.name, { tensor })
      } catch (error) {
        throw within(`initializer ${quote(proto.name)}`, error)
      }
    }
  }

  nodes(nodes: readonly NodeProto[]): void {
    nodes.forEach((proto, i) => {
      const place = `node ${proto.name ? quote(proto.name) : i} (${quote(proto.opType).slice(1, -1)})`
      try {
        if (++this.reading.nodes > MAX_NODES)
          throw new Error(`the model has more than ${MAX_NODES} nodes, its loops unrolled`)
        this.#node(proto, nodes, i)
      } catch (error) {
        throw within(place, error)
      }
    })
  }

  /** The values of a graph's outputs, by name. */
  results(names: readonly string[]): Value[] {
    return names.map(name => {
      const value = this.find(name)
      if (!value) throw new Error(`output ${quote(name)} is made by no node, input or initializer`)
      return value
    })
  }

  #node(proto: NodeProto, nodes: readonly NodeProto[], position: number): void {
    const values = proto.input.map(name => (name === '' ? undefined : this.#read(name, nodes, position)))
    const outputs = this.#apply(proto, values)
    proto.output.forEach((name, i) => {
      if (name === '') return
      const value = outputs[i]
      if (!value) throw new UnsupportedModel('operator', `its output ${i} (${quote(name)}) is not supported`)
      requireReasonableSize(value.tensor)
      this.define(name, value)
    })
  }

  #read(name: string, nodes: readonly NodeProto[], position: number): Value {
    const value = this.find(name)
    if (value) return value
    const later = nodes.some((node, i) => i >= position && node.output.includes(name))
    throw new Error(
      later
        ? `it reads ${quote(name)}, which only a later node makes: the graph is cyclic or out of order`
        : `it reads ${quote(name)}, which is no input, initializer or output of a node`,
    )
  }

  #apply(proto: NodeProto, values: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
    const key = operatorKey(proto)
    const read = operators.get(key)
    const attributes = proto.attribute.flatMap(attribute => this.#resolve(attribute))
    if (!read) {
      const body = this.reading.functions.get(key)
      if (body) return this.#call(body, values, attributes)
      throw new UnsupportedModel('operator', `the operator ${quote(key)} is not supported`)
    }
    const opset = this.opsets.get(isStandard(proto.domain) ? '' : proto.domain)
    if (opset === undefined) throw new Error(`the model imports no operator set for the domain ${quote(proto.domain)}`)
    const node = new NodeReader(proto, values, opset, this.#context(), attributes)
    return settle(read, node)
  }

  /** Attributes of a function's body may stand for those of the call. */
  #resolve(attribute: AttributeProto): AttributeProto[] {
    if (attribute.refAttrName === '') return [attribute]
    const given = this.given.get(attribute.refAttrName)
    return given ? [{ ...given, name: attribute.name }] : []
  }

  #call(
    body: FunctionProto,
    values: readonly (Value | undefined)[],
    attributes: readonly AttributeProto[],
  ): readonly Value[] {
    const given = new Map([...body.attributeProto, ...attributes].map(attribute => [attribute.name, attribute]))
    const opsets = body.opsetImport.length ? opsetVersions(body.opsetImport) : this.opsets
    const inner = new GraphReader(this.reading, opsets, undefined, this.depth + 1, given)
    body.input.forEach((name, i) => {
      const value = values[i]
      if (value) inner.define(name, value)
    })
    inner.nodes(body.node)
    return inner.results(body.output)
  }

  #context(): ReadContext {
    return {
      source: this.reading.source,
      subgraph: (body, inputs) => this.#subgraph(body, inputs),
      needsValue: (what, tensor) => {
        const names = topologicalOrder([tensor])
          .filter(node => node.primitive.name === 'placeholder')
          .map(node => (node.attributes as { name: string }).name)
        throw new ValueNeeded(
          `${what} must be known while the graph is built, but depends on ${names.length ? `the input ${names.map(quote).join(', ')}: give its value by { values }` : 'too much to be worked out'}`,
          names,
        )
      },
    }
  }

  #subgraph(body: GraphProto, inputs: readonly Value[]): Value[] {
    const inner = new GraphReader(this.reading, this.opsets, this, this.depth + 1, this.given)
    if (inputs.length !== body.input.length)
      throw new Error(`the body ${quote(body.name)} takes ${body.input.length} inputs, not ${inputs.length}`)
    body.input.forEach(({ name }, i) => {
      inner.define(name, inputs[i])
    })
    inner.initializers(body.initializer, () => false)
    inner.nodes(body.node)
    return inner.results(body.output.map(({ name }) => name))
  }
}

/** Reads a node, with what it makes of constants and of the symbolic batch worked out. */
function settle(read: OperatorReader, node: NodeReader): readonly (Value | undefined)[] {
  const made = asList(read(node))
  const inputs = node.values.flatMap(value => (value ? [value.tensor] : []))
  const symbolic = node.values.some(value => value?.known)
  const present = made.filter(value => value !== undefined)
  if (symbolic && present.length === made.length && present.every(value => !value.known)) {
    const tensors = present.map(value => value.tensor)
    return knownValues(tensors, propagate(read, node, tensors))
  }
  const folded = foldConstants(
    inputs,
    present.map(value => value.tensor),
  )
  let next = 0
  return made.map(value => value && { tensor: folded[next++], known: value.known })
}

const asList = (outputs: NodeOutputs): (Value | undefined)[] =>
  (isList(outputs) ? outputs : [outputs]).map(output => (output instanceof Tensor ? { tensor: output } : output))

const isList = (outputs: NodeOutputs): outputs is readonly (Tensor | Value | undefined)[] => Array.isArray(outputs)

/** Operator-set versions by domain, ONNX's own being ''. */
export function opsetVersions(imports: readonly { domain: string; version: bigint }[]): OpsetVersions {
  return new Map(imports.map(({ domain, version }) => [isStandard(domain) ? '' : domain, Number(version)]))
}
