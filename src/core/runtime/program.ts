import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common'
import { allocate, type HostData } from '../dtype.ts'
import { type NamedTensor, writeModel } from '../onnx/write.ts'
import { bindBatch, formatShape, sameShape, sizeOf } from '../shape.ts'
import { simplify, structureOf } from '../simplify.ts'
import type { Variable } from '../tensor.ts'
import { constantData, type Tensor } from '../tensor.ts'
import { backend, type Device, wrap } from './backend.ts'
import { HostTensor } from './host-tensor.ts'

export interface ProgramOptions {
  /** `cpu` (default), `webgpu`, `cuda` …: see `devices()`. */
  readonly device?: string
  /** Passed on to ONNX Runtime, over the device's own settings. */
  readonly session?: InferenceSession.SessionOptions
}

/** Runs on one device go one after another: each uses all cores, and steps write variables. */
let queue: Promise<unknown> = Promise.resolve()

export function enqueue<T>(work: () => Promise<T>): Promise<T> {
  const result = queue.then(work, work)
  queue = result.catch(() => undefined)
  return result
}

interface Parts {
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly writes: readonly Variable[]
  readonly variables: readonly Variable[]
  readonly constants: readonly Tensor[]
}

/**
 * A graph compiled for one device: forward, backward and state updates in one call.
 * Variables stay where they are between runs; a run reads their current values and, when it has finished, swaps in the
 * new ones, so a failed run changes nothing.
 */
export class Program {
  readonly #parts: Parts
  readonly #session: InferenceSession
  readonly #device: Device
  /** Inputs that the simplified graph still reads. */
  readonly #used: ReadonlySet<string>
  /** Seconds spent simplifying, writing and loading the graph. */
  readonly compileSeconds: number
  /** ONNX nodes written (before ONNX Runtime's own fusions). */
  readonly nodes: number

  private constructor(parts: Parts, session: InferenceSession, device: Device, compileSeconds: number, nodes: number) {
    this.#parts = parts
    this.#session = session
    this.#device = device
    this.#used = new Set(session.inputNames)
    this.compileSeconds = compileSeconds
    this.nodes = nodes
  }

  /**
   * @param inputs placeholders, in the order `run` takes their values
   * @param outputs tensors whose values `run` returns
   * @param writes values that variables take at the end of a run
   */
  static async compile(
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    writes: ReadonlyMap<Variable, Tensor> = new Map(),
    options: ProgramOptions = {},
  ): Promise<Program> {
    const start = performance.now()
    const simple = simplify([...outputs, ...writes.values()])
    const { constants, variables, placeholders } = leavesOf(simple, inputs)
    const device = await backend().open(options.device)
    const named = (prefix: string, tensors: readonly Tensor[]): NamedTensor[] =>
      tensors.map((tensor, i) => ({ name: `${prefix}${i}`, tensor }))
    const { bytes, nodes } = writeModel(
      [...named('in', placeholders), ...named('variable', variables), ...named('constant', constants)],
      [...named('out', simple.slice(0, outputs.length)), ...named('write', simple.slice(outputs.length))],
      {
        device: device.name,
        channelBlock: device.channelBlock,
        ...(device.variables === 'inPlace' && { barrier: BARRIER }),
      },
    )
    const keep =
      device.variables === 'onDevice'
        ? {
            preferredOutputLocation: Object.fromEntries(
              named('write', [...writes.values()]).map(({ name }) => [name, 'gpu-buffer' as const]),
            ),
          }
        : {}
    const session = await device.runtime.InferenceSession.create(bytes, {
      ...device.options,
      ...keep,
      ...options.session,
    })
    const parts: Parts = {
      inputs,
      outputs: simple.slice(0, outputs.length),
      writes: [...writes.keys()],
      variables,
      constants,
    }
    return new Program(parts, session, device, (performance.now() - start) / 1000, nodes)
  }

  /**
   * Runs the program once.
   * @param values one for each input, of its shape and dtype
   * @throws naming the input whose shape or dtype does not fit
   */
  run(values: readonly HostTensor[]): Promise<HostTensor[]> {
    return enqueue(() => this.#run(values))
  }

  async #run(values: readonly HostTensor[]): Promise<HostTensor[]> {
    const { inputs, outputs, writes, variables, constants } = this.#parts
    const { runtime } = this.#device
    const feeds: Record<string, OrtTensor> = {}
    inputs.forEach((input, i) => {
      checkInput(input, values[i], i)
      if (this.#used.has(`in${i}`)) feeds[`in${i}`] = wrap(runtime, values[i].data, values[i].shape, input.dtype)
    })
    variables.forEach((variable, i) => {
      feeds[`variable${i}`] = this.#read(variable)
    })
    constants.forEach((constant, i) => {
      feeds[`constant${i}`] = wrap(runtime, constantData(constant)!, constant.shape as number[], constant.dtype)
    })
    if (this.#device.variables === 'inPlace') return this.#runInPlace(feeds, values)
    const fetches = Object.fromEntries(this.#session.outputNames.map((name): [string, null] => [name, null]))
    const results = await this.#session.run(feeds, fetches)
    writes.forEach((variable, i) => {
      const result = results[`write${i}`] as OrtTensor
      if (this.#device.variables === 'onDevice') this.#keep(variable, result)
      else variable.set(result.data as HostData)
    })
    return outputs.map((output, i) => {
      const result = results[`out${i}`] as OrtTensor
      return new HostTensor(result.data as HostData, result.dims, output.dtype)
    })
  }

  /** Runs with memory for every output, and stops the binding before it copies them (see {@link BARRIER}). */
  async #runInPlace(feeds: Record<string, OrtTensor>, values: readonly HostTensor[]): Promise<HostTensor[]> {
    const { inputs, outputs, writes } = this.#parts
    const { runtime } = this.#device
    const batch = batchOf(inputs, values)
    const results = outputs.map(({ shape, dtype }) => {
      const concrete = bindBatch(shape, batch)
      return new HostTensor(allocate(dtype, sizeOf(concrete)), concrete, dtype)
    })
    const fetches: Record<string, OrtTensor | null> = { [BARRIER]: null }
    results.forEach(({ data, shape, dtype }, i) => {
      fetches[`out${i}`] = wrap(runtime, data, shape, dtype)
    })
    writes.forEach((variable, i) => {
      fetches[`write${i}`] = wrap(runtime, variable.backBuffer(), variable.shape as number[], variable.dtype)
    })
    try {
      await this.#session.run(feeds, fetches)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('Non tensor type'))) throw error
    }
    for (const variable of writes) variable.swap()
    return results
  }

  #read(variable: Variable): OrtTensor {
    const copy = variable.device as (DeviceValue & { version: number }) | undefined
    if (copy && copy.version === variable.version) return copy.tensor
    return wrap(this.#device.runtime, variable.data, variable.shape as number[], variable.dtype)
  }

  #keep(variable: Variable, tensor: OrtTensor): void {
    const before = variable.device as DeviceValue | undefined
    variable.device = new DeviceValue(tensor, variable.version)
    before?.tensor.dispose()
  }

  /** Frees the session. The program cannot run afterwards. */
  async release(): Promise<void> {
    await this.#session.release()
  }

  /** Ends ONNX Runtime's profiling, when it was asked for through `options.session`. */
  endProfiling(): void {
    this.#session.endProfiling()
  }
}

/** A variable's newest value in device memory. */
class DeviceValue {
  newer = true
  constructor(
    readonly tensor: OrtTensor,
    public version: number,
  ) {}

  async read(): Promise<HostData> {
    return (await this.tensor.getData()) as HostData
  }
}

/**
 * onnxruntime-node copies each output into a fresh array after the run, also those that it was given memory for, which
 * then hold the values already. It converts outputs in their order and gives up at the first that is no tensor, so
 * an empty sequence stands before all others. (A binding that copies nothing fills the given memory all the same.)
 */
const BARRIER = 'barrier'

function batchOf(inputs: readonly Tensor[], values: readonly HostTensor[]): number | undefined {
  for (const [i, { shape }] of inputs.entries()) {
    const axis = shape.findIndex(dim => dim < 0)
    if (axis >= 0) return values[i].shape[axis] / -shape[axis]
  }
  return undefined
}

function leavesOf(outputs: readonly Tensor[], inputs: readonly Tensor[]) {
  const { constants, variables, leaves } = structureOf(outputs)
  const known = new Set(inputs.map(input => input.node))
  const foreign = leaves.find(leaf => !known.has(leaf.node))
  if (foreign)
    throw new Error(
      `compile: ${foreign} is not an input of this program (a placeholder of another trace was closed over)`,
    )
  return { constants, variables, placeholders: inputs }
}

function checkInput(input: Tensor, value: HostTensor | undefined, position: number): void {
  if (!value) throw new Error(`run: input ${position} is missing`)
  const symbolic = input.shape.findIndex(dim => dim < 0)
  const expected = symbolic < 0 ? input.shape : bindBatch(input.shape, value.shape[symbolic] / -input.shape[symbolic])
  if (value.dtype !== input.dtype || !sameShape(value.shape, expected))
    throw new Error(
      `run: input ${position} is ${value.dtype}${formatShape(value.shape)}, expected ${input.dtype}${formatShape(input.shape)}`,
    )
}
