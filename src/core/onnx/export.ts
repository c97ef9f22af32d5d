import { bytesPerElement, type DType } from '../dtype.ts'
import type { Shape } from '../shape.ts'
import { formatShape } from '../shape.ts'
import { simplify, structureOf } from '../simplify.ts'
import { collectWrites, placeholder, Tensor } from '../tensor.ts'
import { type DataFile, type NamedTensor, writeModel } from './write.ts'

/** Shape (-1 being the batch that stays open) and element type of an input; `f32` when left out. */
export interface InputSpec {
  readonly shape: Shape
  readonly dtype?: DType
}

/** Named tensors, as functions to be exported take and give them. */
export type Named<T> = Readonly<Record<string, T>>

export interface ExportOptions {
  /**
   * Where the values of variables go: `inside` the model (default; one file, at most 2 GB), or `beside` it in a file
   * of their own, which the model finds by `dataLocation`. Tensors below 1 KiB always stay inside.
   */
  readonly parameters?: 'inside' | 'beside'
  /** Name of the data file, relative to the model; default `model.onnx.data`. */
  readonly dataLocation?: string
  readonly producer?: string
}

/** An ONNX model as bytes, for the caller to write. */
export interface ExportedModel {
  readonly model: Uint8Array
  /** Contents of the data file at `dataLocation`, when parameters lie beside the model. */
  readonly data?: Uint8Array
  readonly dataLocation?: string
  /** Names of the parameters, in the order they are written. */
  readonly parameters: readonly string[]
  readonly nodes: number
}

/** Metadata that tells parameters from constants: both are initializers to ONNX. A JSON list of names. */
export const PARAMETERS_KEY = 'tenet.parameters'

/** Protobuf messages cannot be larger. */
const LARGEST_MODEL = 2 ** 31 - 2 ** 20
/** Smaller tensors are not worth a place in a data file; readers also need them at hand to work out shapes. */
const SMALLEST_BESIDE = 1024
/** Offsets are multiples of a memory page, so that readers can map the file. */
const PAGE = 4096

/**
 * Writes a function of tensors, or tensors already traced, as an ONNX model (opset 17, or 18 where an operation needs
 * it; standard operators only). Variables become initializers under their own names, as they stand now.
 *
 * ```ts
 * const { model } = exportModel(({ image }) => ({ embedding: encoder.call(image) }), { image: { shape: [-1, 3, 32, 32] } })
 * await writeFile('encoder.onnx', model)
 * ```
 * @param outputs what the model computes, by output name, or a function that gives it; a single tensor is named `output`
 * @param inputs input names with their shapes and dtypes, or the placeholders that `outputs` were traced from
 * @throws when the outputs depend on a placeholder that is no input, assign variables, use two variables or values of
 * one name, or do not fit into one file
 */
export function exportModel(
  outputs: ((inputs: Record<string, Tensor>) => Tensor | Named<Tensor>) | Named<Tensor>,
  inputs: Named<InputSpec | Tensor>,
  options: ExportOptions = {},
): ExportedModel {
  const leaves = Object.entries(inputs).map(
    ([name, spec]): NamedTensor => ({ name, tensor: spec instanceof Tensor ? spec : asPlaceholder(name, spec) }),
  )
  const traced = typeof outputs === 'function' ? trace(outputs, leaves) : outputs
  const named = Object.entries(traced).map(([name, tensor]): NamedTensor => ({ name, tensor }))
  if (named.length === 0) throw new Error('export: the model has no outputs')
  const simple = simplify(named.map(({ tensor }) => tensor))
  const structure = structureOf(simple)
  requireBound(structure.leaves, leaves)
  const parameters = structure.variables.map((variable): NamedTensor => ({ name: variable.name, tensor: variable }))
  requireDistinct(leaves, named, parameters)
  const beside = options.parameters === 'beside' ? new DataBuffer(options.dataLocation ?? 'model.onnx.data') : undefined
  if (!beside) requireOneFile([...structure.variables, ...structure.constants])
  const { bytes, nodes } = writeModel(
    leaves,
    named.map(({ name }, i) => ({ name, tensor: simple[i] })),
    {
      contributed: false,
      producer: options.producer,
      parameters,
      beside,
      metadata: { [PARAMETERS_KEY]: JSON.stringify(parameters.map(({ name }) => name)) },
    },
  )
  return {
    model: bytes,
    ...(beside && { data: beside.bytes(), dataLocation: beside.location }),
    parameters: parameters.map(({ name }) => name),
    nodes,
  }
}

function asPlaceholder(name: string, { shape, dtype }: InputSpec): Tensor {
  if (shape.some(dim => !Number.isInteger(dim)))
    throw new Error(
      `export: input '${name}' has the shape ${formatShape(shape)}; sizes are whole numbers, -1 the batch`,
    )
  return placeholder(name, shape, dtype)
}

function trace(
  f: (inputs: Record<string, Tensor>) => Tensor | Named<Tensor>,
  leaves: readonly NamedTensor[],
): Named<Tensor> {
  const { result, writes } = collectWrites(() =>
    f(Object.fromEntries(leaves.map(({ name, tensor }) => [name, tensor]))),
  )
  const [written] = writes.keys()
  if (written)
    throw new Error(
      `export: the function assigns the variable ${written.name}, which an ONNX file cannot keep; export it in evaluation mode`,
    )
  return result instanceof Tensor ? { output: result } : result
}

function requireBound(found: readonly Tensor[], inputs: readonly NamedTensor[]): void {
  const known = new Set(inputs.map(({ tensor }) => tensor.node))
  const foreign = found.find(leaf => !known.has(leaf.node))
  if (foreign) throw new Error(`export: the outputs depend on ${foreign}, which is not among the inputs`)
}

/** One graph has one value to a name. */
function requireDistinct(...groups: readonly NamedTensor[][]): void {
  const seen = new Set<string>()
  for (const { name } of groups.flat()) {
    if (name === '') throw new Error('export: an empty name stands for "no value" in ONNX; choose another')
    if (seen.has(name))
      throw new Error(`export: the name '${name}' stands for two values; inputs, outputs and variables must differ`)
    seen.add(name)
  }
}

function requireOneFile(tensors: readonly Tensor[]): void {
  const width = (t: Tensor): number => bytesPerElement[t.dtype]
  const total = tensors.reduce((sum, t) => sum + t.size * width(t), 0)
  if (total > LARGEST_MODEL)
    throw new Error(
      `export: ${(total / 2 ** 30).toFixed(1)} GiB of parameters do not fit into one ONNX file; use { parameters: 'beside' }`,
    )
}

/** Collects the contents of a data file. */
class DataBuffer implements DataFile {
  readonly #parts: { readonly offset: number; readonly bytes: Uint8Array }[] = []
  #end = 0

  constructor(readonly location: string) {}

  add(bytes: Uint8Array): number | undefined {
    if (bytes.length < SMALLEST_BESIDE) return undefined
    const offset = Math.ceil(this.#end / PAGE) * PAGE
    this.#parts.push({ offset, bytes })
    this.#end = offset + bytes.length
    return offset
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(this.#end)
    for (const { offset, bytes } of this.#parts) out.set(bytes, offset)
    return out
  }
}
