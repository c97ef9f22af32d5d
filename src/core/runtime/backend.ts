import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common'
import type { DType, HostData } from '../dtype.ts'

/** The part of an ONNX Runtime package that programs use; onnxruntime-node and onnxruntime-web both have it. */
export interface Runtime {
  readonly InferenceSession: {
    /** @param model the file's bytes, or its path (in a browser: its address) */
    create(model: string | Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>
  }
  readonly Tensor: new (type: never, data: never, dims?: readonly number[]) => OrtTensor
}

/** One kind of device, and how to make sessions on it. */
export interface Device {
  readonly name: string
  readonly runtime: Runtime
  readonly options: InferenceSession.SessionOptions
  /** How many channels its kernels keep side by side in their blocked layout; left out where they have none. */
  readonly channelBlock?: number
  /**
   * How a step writes variables: `inPlace`, straight into their back buffers; `returned`, as new arrays; `onDevice`, into
   * the device's memory, where they stay between steps.
   */
  readonly variables: 'inPlace' | 'returned' | 'onDevice'
}

/** A device as `tenet devices` lists it. */
export interface DeviceInfo {
  readonly name: string
  readonly available: boolean
  readonly detail: string
}

/** Where devices come from: Node and the browser each register theirs. */
export interface Backend {
  /** @throws when there is no such device here, naming those there are */
  open(device: string | undefined): Promise<Device>
  list(): Promise<DeviceInfo[]>
}

let registered: Backend | undefined

/** Called by the entry point of each platform. */
export function registerBackend(backend: Backend): void {
  registered = backend
}

export function backend(): Backend {
  if (!registered)
    throw new Error("no runtime is registered: import 'tenet' (Node or browser build), not its inner files")
  return registered
}

/** ONNX Runtime's name of each element type. */
export const ortType: Record<DType, OrtTensor.Type> = {
  f32: 'float32',
  f16: 'float16',
  i32: 'int32',
  i64: 'int64',
  u8: 'uint8',
  bool: 'bool',
}

const wrapped = new WeakMap<HostData, { tensor: OrtTensor; key: string }>()

/** An ONNX Runtime tensor over a typed array, made once per array and shape. */
export function wrap(runtime: Runtime, data: HostData, shape: readonly number[], dtype: DType): OrtTensor {
  const key = `${dtype}[${shape}]`
  const known = wrapped.get(data)
  if (known?.key === key) return known.tensor
  const made = new runtime.Tensor(ortType[dtype] as never, data as never, shape)
  wrapped.set(data, { tensor: made, key })
  return made
}
