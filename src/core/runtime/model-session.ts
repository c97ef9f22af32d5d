import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common'
import type { DType, HostData } from '../dtype.ts'
import { backend, type Device, ortType, wrap } from './backend.ts'
import { HostTensor } from './host-tensor.ts'
import { enqueue } from './program.ts'

/** An input or output of a model as its file declares it. */
export interface ModelValue {
  readonly name: string
  /** Undefined for a type that host tensors cannot carry. */
  readonly dtype: DType | undefined
  /** Sizes; a name where a size is open. Empty for a scalar, and where the file says nothing. */
  readonly shape: readonly (number | string)[]
}

const dtypes = new Map(Object.entries(ortType).map(([dtype, name]) => [name as string, dtype as DType]))

const declared = (values: readonly InferenceSession.ValueMetadata[]): ModelValue[] =>
  values.map(value => ({
    name: value.name,
    dtype: value.isTensor ? dtypes.get(value.type) : undefined,
    shape: value.isTensor ? value.shape : [],
  }))

/**
 * Someone else's ONNX model, run as it stands: ONNX Runtime reads the file itself, with its data files and whatever operators
 * it knows. (`readModel` is for models that are to be differentiated.)
 */
export class ModelSession {
  readonly inputs: readonly ModelValue[]
  readonly outputs: readonly ModelValue[]
  readonly #session: InferenceSession
  readonly #device: Device

  private constructor(session: InferenceSession, device: Device) {
    this.inputs = declared(session.inputMetadata)
    this.outputs = declared(session.outputMetadata)
    this.#session = session
    this.#device = device
  }

  /**
   * @param model path (data files are looked for beside it), or the file's bytes
   * @param device see `devices()`; default `cpu`
   * @throws one line when ONNX Runtime cannot load it
   */
  static async open(model: string | Uint8Array, device?: string): Promise<ModelSession> {
    const opened = await backend().open(device)
    try {
      return new ModelSession(await opened.runtime.InferenceSession.create(model, opened.options), opened)
    } catch (error) {
      const named = typeof model === 'string' ? model : 'model'
      throw new Error(`${named}: ONNX Runtime cannot load it (${firstLine(error)})`)
    }
  }

  /**
   * Runs the model once, after whatever else runs on its device.
   * @param feeds a value for each input
   * @param outputs names of the outputs to give back
   * @throws one line when the values do not fit, or an output is of a type that host tensors cannot carry
   */
  run(feeds: Readonly<Record<string, HostTensor>>, outputs: readonly string[]): Promise<Record<string, HostTensor>> {
    return enqueue(async () => {
      const { runtime } = this.#device
      const wrapped = Object.fromEntries(
        Object.entries(feeds).map(([name, { data, shape, dtype }]): [string, OrtTensor] => [
          name,
          wrap(runtime, data, shape, dtype),
        ]),
      )
      const results = await this.#session.run(wrapped, [...outputs]).catch(error => {
        throw new Error(`the model cannot run on these inputs (${firstLine(error)})`)
      })
      return Object.fromEntries(outputs.map(name => [name, hostValue(name, results[name] as OrtTensor)]))
    })
  }

  async release(): Promise<void> {
    await this.#session.release()
  }
}

const firstLine = (error: unknown): string => (error as Error).message.split('\n')[0].slice(0, 300)

function hostValue(name: string, { data, dims, type }: OrtTensor): HostTensor {
  const dtype = dtypes.get(type)
  if (!dtype)
    throw new Error(
      `the model's output '${name}' is of type ${type}, which is not one of ${[...dtypes.keys()].join(', ')}`,
    )
  const array = data as HostData
  // Where the platform has an array of halves, ONNX Runtime gives that; host tensors carry their bits.
  const bits = dtype === 'f16' ? new Uint16Array(array.buffer, array.byteOffset, array.length) : array
  return new HostTensor(bits, dims, dtype)
}
