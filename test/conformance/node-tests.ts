import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fromBinary } from '@bufbuild/protobuf'
import { type GraphProto, type ModelProto, ModelProtoSchema, TensorProtoSchema, type TypeProto } from 'onnx-buf'
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common'
import { type DType, type HostData, HostTensor, interpret } from '../../src/core/index.ts'
import { exportModel } from '../../src/core/onnx/export.ts'
import { UnsupportedModel, ValueNeeded } from '../../src/core/onnx/import/failure.ts'
import { operatorKey } from '../../src/core/onnx/import/graph.ts'
import { operators } from '../../src/core/onnx/import/operators.ts'
import { readTensor } from '../../src/core/onnx/import/tensor-data.ts'
import { type ReadModel, readModel } from '../../src/core/onnx/read.ts'
import { ortType, type Runtime, wrap } from '../../src/core/runtime/backend.ts'

/** Where Debian's libonnx-testdata puts the node tests; the second is a link to the first. */
const folders = ['/usr/share/libonnx-testdata/data/node', '/usr/lib/python3/dist-packages/onnx/backend/test/data/node']

/** The folder of ONNX's node tests, or undefined where it is not installed. */
export const nodeTestFolder = (): string | undefined =>
  [process.env.TENET_ONNX_TESTS, ...folders].find(folder => folder && existsSync(folder))

/** Folders beside it with tests of the same form: models converted from PyTorch, and small ones of several nodes. */
export const otherTestFolders = (root: string): string[] =>
  ['pytorch-converted', 'pytorch-operator', 'simple'].map(name => join(root, '..', name)).filter(existsSync)

/** Runs every test of a folder whose name passes. */
export async function runFolder(
  root: string,
  wanted: (name: string) => boolean = () => true,
): Promise<NodeTestResult[]> {
  const results: NodeTestResult[] = []
  for (const name of readdirSync(root).filter(wanted).sort()) results.push(await runNodeTest(root, name))
  return results
}

export type Verdict = 'passed' | 'failed' | 'not claimed'

export interface NodeTestResult {
  readonly name: string
  readonly verdict: Verdict
  /** Operators of the model, subgraphs included. */
  readonly operators: readonly string[]
  /** What failed, or why the test is not claimed. */
  readonly reason?: string
  /** Inputs that were bound while the graph was built, because they decide shapes. */
  readonly bound?: readonly string[]
}

interface DataSet {
  readonly inputs: ReadonlyMap<string, HostTensor>
  readonly outputs: ReadonlyMap<string, HostTensor>
}

/** Every operator of a graph and of the graphs inside it. */
function operatorsOf(graph: GraphProto): string[] {
  const inside = graph.node.flatMap(node => [
    operatorKey(node),
    ...node.attribute.flatMap(attribute => [
      ...(attribute.g ? operatorsOf(attribute.g) : []),
      ...attribute.graphs.flatMap(operatorsOf),
    ]),
  ])
  return [...new Set(inside)]
}

const isTensorType = (type: TypeProto | undefined): boolean => type?.value.case === 'tensorType'

/** Why a model lies outside what the importer claims, judged by its operators and types alone; undefined when it does not. */
function outside(model: ModelProto, keys: readonly string[]): string | undefined {
  const unknown = keys.filter(key => !operators.has(key))
  if (unknown.length) return `operator not claimed: ${unknown.join(', ')}`
  const values = [...model.graph!.input, ...model.graph!.output]
  const foreign = values.find(({ type }) => !isTensorType(type))
  return foreign && `value type: ${foreign.type?.value.case?.replace('Type', '') ?? 'none'}`
}

function readData(model: ModelProto, folder: string, double: 'reject' | 'f32'): DataSet {
  const initialized = new Set(model.graph!.initializer.map(({ name }) => name))
  const inputs = model.graph!.input.filter(({ name }) => !initialized.has(name))
  const read = (kind: string, names: readonly string[]) =>
    new Map(
      names.map((name, i): [string, HostTensor] => {
        const proto = fromBinary(TensorProtoSchema, readFileSync(join(folder, `${kind}_${i}.pb`)))
        return [name, readTensor(proto, { double })]
      }),
    )
  return {
    inputs: read(
      'input',
      inputs.map(({ name }) => name),
    ),
    outputs: read(
      'output',
      model.graph!.output.map(({ name }) => name),
    ),
  }
}

/** Reads the model, binding those inputs that decide shapes, and no others. */
function readBound(bytes: Uint8Array, data: DataSet, double: 'reject' | 'f32'): { model: ReadModel; bound: string[] } {
  const bound: string[] = []
  for (;;) {
    const values = Object.fromEntries(bound.map(name => [name, data.inputs.get(name)!]))
    try {
      const shapes = [...data.inputs]
        .filter(([name]) => !bound.includes(name))
        .map(([name, { shape }]) => [name, shape])
      return { model: readModel(bytes, { values, shapes: Object.fromEntries(shapes), double }), bound }
    } catch (error) {
      const missing = error instanceof ValueNeeded ? error.inputs.filter(name => !bound.includes(name)) : []
      if (missing.length === 0) throw error
      bound.push(...missing)
    }
  }
}

const RELATIVE = 1e-3
const ABSOLUTE = 1e-5

/** Compares as ONNX's own backend tests do: floats by np.testing.assert_allclose, all else exactly. */
export function differenceOf(
  actual: { readonly shape: readonly number[]; readonly dtype: string; readonly data: ArrayLike<number> },
  expected: HostTensor,
): string | undefined {
  if (actual.dtype !== expected.dtype) return `is ${actual.dtype}, expected ${expected.dtype}`
  if (String(actual.shape) !== String(expected.shape)) return `is [${actual.shape}], expected [${expected.shape}]`
  const wanted = expected.numbers()
  const exact = expected.dtype !== 'f32' && expected.dtype !== 'f16'
  for (let i = 0; i < wanted.length; i++) {
    const [a, b] = [actual.data[i], wanted[i]]
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    if (exact || !(Math.abs(a - b) <= ABSOLUTE + RELATIVE * Math.abs(b))) return `entry ${i} is ${a}, expected ${b}`
  }
  return undefined
}

const runtime = createRequire(import.meta.url)('onnxruntime-node') as Runtime

/** Runs a written model on ONNX Runtime itself, without anything of Tenet's own runtime. */
export async function runOnnx(
  bytes: Uint8Array,
  inputs: ReadonlyMap<string, HostTensor>,
  options: InferenceSession.SessionOptions = {},
): Promise<Record<string, OrtTensor>> {
  const session = await runtime.InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
    ...options,
  })
  try {
    const feeds = Object.fromEntries(
      [...inputs]
        .filter(([name]) => session.inputNames.includes(name))
        .map(([name, { data, shape, dtype }]) => [name, wrap(runtime, data, shape, dtype)]),
    )
    return await session.run(feeds)
  } finally {
    await session.release()
  }
}

const dtypes: Partial<Record<OrtTensor.Type, DType>> = Object.fromEntries(
  Object.entries(ortType).map(([dtype, type]) => [type, dtype]),
)

/** Numbers, shape and dtype of a result of ONNX Runtime. */
export function fromOnnx({ data, dims, type }: OrtTensor) {
  const dtype = dtypes[type]
  if (!dtype) throw new Error(`a result is ${type}`)
  return { shape: dims, dtype, data: new HostTensor(data as HostData, dims, dtype).numbers() }
}

async function compare(model: ReadModel, data: DataSet): Promise<string | undefined> {
  const names = [...data.outputs.keys()].filter(name => name !== '')
  const free = new Map([...model.inputs].map(([name, input]) => [input, data.inputs.get(name)!.data]))
  const reference = interpret(
    names.map(name => model.outputs.get(name)!),
    free,
  )
  for (const [i, name] of names.entries()) {
    const difference = differenceOf(reference[i], data.outputs.get(name)!)
    if (difference) return `interpreter: output ${name} ${difference}`
  }
  const written = exportModel(Object.fromEntries(model.outputs), Object.fromEntries(model.inputs))
  const results = await runOnnx(written.model, data.inputs)
  for (const name of names) {
    const expected = data.outputs.get(name)!
    const difference = differenceOf(fromOnnx(results[name]), expected)
    if (difference) return `exported: output ${name} ${difference}`
  }
  return undefined
}

/**
 * Runs one of ONNX's node tests: import, compare the float64 interpreter with the expected outputs, export again and
 * compare ONNX Runtime with them.
 */
export async function runNodeTest(
  root: string,
  name: string,
  double: 'reject' | 'f32' = 'reject',
): Promise<NodeTestResult> {
  const bytes = readFileSync(join(root, name, 'model.onnx'))
  const proto = fromBinary(ModelProtoSchema, bytes)
  const keys = operatorsOf(proto.graph!)
  const notClaimed = (reason: string): NodeTestResult => ({ name, verdict: 'not claimed', operators: keys, reason })
  const reason = outside(proto, keys)
  if (reason) return notClaimed(reason)
  const bound = new Set<string>()
  try {
    const sets = readdirSync(join(root, name)).filter(folder => folder.startsWith('test_data_set_'))
    for (const set of sets.sort()) {
      const data = readData(proto, join(root, name, set), double)
      const read = readBound(bytes, data, double)
      for (const each of read.bound) bound.add(each)
      const difference = await compare(read.model, data)
      if (difference) return { name, verdict: 'failed', operators: keys, reason: difference, bound: [...bound] }
    }
    return { name, verdict: 'passed', operators: keys, bound: [...bound] }
  } catch (error) {
    if (error instanceof UnsupportedModel && error.limit !== 'operator')
      return notClaimed(`${error.limit}: ${error.message}`)
    const message = error instanceof Error ? error.message.split('\n')[0] : String(error)
    return { name, verdict: 'failed', operators: keys, reason: message, bound: [...bound] }
  }
}
