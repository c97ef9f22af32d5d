import { fromBinary } from '@bufbuild/protobuf'
import { type GraphProto, type ModelProto, ModelProtoSchema, type ValueInfoProto } from 'onnx-buf'
import type { DType } from '../dtype.ts'
import { type HostValue, toHostTensor } from '../runtime/host-tensor.ts'
import { formatShape, type Shape, sameShape } from '../shape.ts'
import { constant, placeholder, substitute, type Tensor, topologicalOrder, Variable } from '../tensor.ts'
import { PARAMETERS_KEY } from './export.ts'
import { messageOf, quote, UnsupportedModel, within } from './import/failure.ts'
import { GraphReader, type ModelReading, type OpsetVersions, operatorKey, opsetVersions } from './import/graph.ts'
import { type InputSizes, ownEntry, readShape, SizeReader } from './import/sizes.ts'
import { elementType, type TensorSource } from './import/tensor-data.ts'

/** Newest operator set that is read. */
export const NEWEST_OPSET = 21

export interface ReadOptions extends TensorSource, InputSizes {
  /**
   * Inputs whose values are fixed while the graph is built, by name. Needed where a value decides a shape (the target
   * of a Reshape, the number of trips of a Loop).
   */
  readonly values?: Readonly<Record<string, HostValue>>
  /**
   * Which floating-point initializers become variables; others are constants. Default: the parameters that Tenet wrote,
   * and in files of other programs, which do not tell parameters from constants, all.
   */
  readonly trainable?: (name: string, shape: Shape) => boolean
}

/** A model as a Tenet graph. */
export interface ReadModel {
  /** Placeholders by name, in the model's order; those fixed by `values` are left out. */
  readonly inputs: ReadonlyMap<string, Tensor>
  readonly outputs: ReadonlyMap<string, Tensor>
  /** The floating-point initializers that the outputs depend on: differentiate with respect to them to fine-tune. */
  readonly parameters: ReadonlyMap<string, Variable>
  /** Version of ONNX's operator set the model is written in. */
  readonly opset: number
  readonly producer: string
  readonly metadata: ReadonlyMap<string, string>
  /**
   * The outputs as functions of other tensors, by name; inputs left out stay placeholders.
   * @throws for a name that is no input
   */
  call(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor>
}

/**
 * Reads an ONNX model (ModelProto, opset 1 to 21) into a Tenet graph, which can be run, differentiated, trained and
 * written again. Floating-point initializers become {@link Variable}s; what only depends on constants is worked out.
 *
 * ```ts
 * const model = readModel(await readFile('encoder.onnx'))
 * const program = await Program.compile([...model.inputs.values()], [...model.outputs.values()])
 * ```
 * @param bytes the file
 * @param options sizes of unknown dimensions (`batch`, `dims`, `shapes`), values of inputs that decide shapes
 * (`values`), files of external data (`externalData`), and what to do with float64 (`double`)
 * @throws UnsupportedModel for an operator, element type or value type that Tenet does not read, ValueNeeded where an
 * input must be given by `values`, and an Error of one line naming the node for anything malformed
 */
export function readModel(bytes: Uint8Array, options: ReadOptions = {}): ReadModel {
  const model = decode(bytes)
  const graph = model.graph!
  const opsets = checkOpsets(model)
  const reading: ModelReading = {
    source: options,
    functions: new Map(model.functions.map(f => [operatorKey({ domain: f.domain, opType: f.name }), f])),
    nodes: 0,
  }
  const reader = new GraphReader(reading, opsets)
  const inputs = readInputs(graph, reader, options)
  reader.initializers(graph.initializer, options.trainable ?? writtenParameters(model))
  if (graph.sparseInitializer.length)
    throw new UnsupportedModel('value type', 'onnx: sparse initializers are not supported')
  reader.nodes(graph.node)
  const outputs = readOutputs(graph, reader, options)
  const leaves = topologicalOrder([...outputs.values()]).map(node => node.outputs[0])
  const variables = leaves.filter(leaf => leaf instanceof Variable)
  return {
    inputs,
    outputs,
    parameters: new Map(variables.map(variable => [variable.name, variable])),
    opset: opsets.get('') ?? 0,
    producer: model.producerName,
    metadata: new Map(model.metadataProps.map(({ key, value }) => [key, value])),
    call: given => call(inputs, outputs, given),
  }
}

/** Files written by Tenet list their parameters. */
function writtenParameters({ metadataProps }: ModelProto): (name: string) => boolean {
  const list = metadataProps.find(({ key }) => key === PARAMETERS_KEY)?.value
  if (list === undefined) return () => true
  let names: unknown
  try {
    names = JSON.parse(list)
  } catch {
    names = undefined
  }
  if (!Array.isArray(names))
    throw new Error(`onnx: the metadata ${PARAMETERS_KEY} are damaged: expected a list of names`)
  const known = new Set(names)
  return name => known.has(name)
}

function decode(bytes: Uint8Array): ModelProto {
  let model: ModelProto
  try {
    model = fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false })
  } catch (error) {
    throw new Error(
      `onnx: these ${bytes.length} bytes are no ONNX model, or the file is truncated (${messageOf(error)})`,
    )
  }
  if (!model.graph) throw new Error(`onnx: these ${bytes.length} bytes hold no graph: not an ONNX model`)
  return model
}

function checkOpsets(model: ModelProto): OpsetVersions {
  const versions = new Map(opsetVersions(model.opsetImport))
  // Files of IR version 1 and 2 do not say; they mean the first set.
  if (!model.opsetImport.length) versions.set('', 1)
  const version = versions.get('')
  if (version !== undefined && !(version >= 1 && version <= NEWEST_OPSET))
    throw new UnsupportedModel(
      'operator',
      `onnx: the model uses operator set ${version}; 1 to ${NEWEST_OPSET} are supported`,
    )
  return versions
}

function readInputs(graph: GraphProto, reader: GraphReader, options: ReadOptions): Map<string, Tensor> {
  const initialized = new Set(graph.initializer.map(({ name }) => name))
  // An input that has an initializer is a parameter with a default.
  const infos = graph.input.filter(({ name }) => !initialized.has(name))
  for (const name of [...Object.keys(options.values ?? {}), ...Object.keys(options.shapes ?? {})])
    if (!infos.some(info => info.name === name))
      throw new Error(
        `onnx: the model has no input ${quote(name)}; its inputs are ${infos.map(info => quote(info.name)).join(', ')}`,
      )
  const sizes = new SizeReader(infos, options)
  const inputs = new Map<string, Tensor>()
  for (const info of infos) {
    try {
      const dtype = inputType(info, options)
      const value = ownEntry(options.values, info.name)
      const tensor =
        value === undefined ? placeholder(info.name, sizes.shape(info), dtype) : boundInput(value, dtype, info, sizes)
      reader.define(info.name, { tensor })
      if (value === undefined) inputs.set(info.name, tensor)
    } catch (error) {
      throw within(`input ${quote(info.name)}`, error)
    }
  }
  return inputs
}

function inputType({ type }: ValueInfoProto, source: TensorSource): DType {
  if (type?.value.case !== 'tensorType')
    throw new UnsupportedModel('value type', `${type?.value.case ?? 'a value without a type'} is not supported`)
  return elementType(type.value.value.elemType, source)
}

function boundInput(value: HostValue, dtype: DType, info: ValueInfoProto, sizes: SizeReader): Tensor {
  const { data, shape, dtype: given } = toHostTensor(value)
  if (given !== dtype) throw new Error(`the value given is ${given}, expected ${dtype}`)
  sizes.check(info, shape)
  return constant(data, shape, dtype)
}

function readOutputs(graph: GraphProto, reader: GraphReader, options: ReadOptions): Map<string, Tensor> {
  if (graph.output.length === 0) throw new Error('onnx: the graph has no outputs')
  const outputs = new Map<string, Tensor>()
  for (const info of graph.output) {
    try {
      const [{ tensor }] = reader.results([info.name])
      if (info.type) checkDeclared(info, tensor, options)
      outputs.set(info.name, tensor)
    } catch (error) {
      throw within(`output ${quote(info.name)}`, error)
    }
  }
  return outputs
}

/** A model that states another type or shape than its nodes give is damaged; sizes of its own choice excuse shapes. */
function checkDeclared(info: ValueInfoProto, tensor: Tensor, options: ReadOptions): void {
  const dtype = inputType(info, options)
  if (dtype !== tensor.dtype) throw new Error(`declared as ${dtype}, but its node makes ${tensor.dtype}`)
  if (options.shapes || options.values) return
  const declared = readShape(info)
  const fits =
    !declared ||
    (declared.length === tensor.rank &&
      declared.every((dim, axis) => typeof dim !== 'number' || tensor.shape[axis] < 0 || dim === tensor.shape[axis]))
  if (!fits) {
    const sizes = declared.map(dim => (typeof dim === 'number' ? dim : dim || '?'))
    throw new Error(`declared as [${sizes}], but its node makes ${formatShape(tensor.shape)}`)
  }
}

function call(
  inputs: ReadonlyMap<string, Tensor>,
  outputs: ReadonlyMap<string, Tensor>,
  given: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const names = Object.keys(given)
  const from = names.map(name => {
    const input = inputs.get(name)
    if (!input) throw new Error(`call: the model has no input ${quote(name)}; it has ${[...inputs.keys()].join(', ')}`)
    requireFit(name, input, given[name])
    return input
  })
  const results = substitute(
    [...outputs.values()],
    from,
    names.map(name => given[name]),
  )
  return Object.fromEntries([...outputs.keys()].map((name, i) => [name, results[i]]))
}

function requireFit(name: string, input: Tensor, given: Tensor): void {
  const expected: Shape = input.shape
  if (!sameShape(expected, given.shape) || input.dtype !== given.dtype)
    throw new Error(
      `call: input ${quote(name)} is ${input.dtype}${formatShape(expected)}, got ${given.dtype}${formatShape(given.shape)}; sizes are settled when the model is read ({ batch, dims, shapes })`,
    )
}
