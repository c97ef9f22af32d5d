import type { Backend, Device, Runtime } from './backend.ts'
import { registerBackend } from './backend.ts'

/** Options for the browser's runtime, set before the first program is compiled. */
export interface BrowserOptions {
  /** Folder (URL) that serves ONNX Runtime's .wasm and .mjs files. */
  readonly wasmPaths?: string
  /** WebAssembly threads; more than one needs a cross-origin isolated page. */
  readonly threads?: number
}

let options: BrowserOptions = {}
const devices = new Map<string, Promise<Device>>()

/** Sets where the browser's runtime loads its files from. */
export function configureBrowser(chosen: BrowserOptions): void {
  options = chosen
  devices.clear()
}

const hasWebGpu = (): boolean => 'gpu' in navigator

async function load(name: string): Promise<Device> {
  // Each bundle of onnxruntime-web carries other kernels; only the one asked for is downloaded.
  const ort = name === 'webgpu' ? await import('onnxruntime-web/webgpu') : await import('onnxruntime-web/wasm')
  if (options.wasmPaths) ort.env.wasm.wasmPaths = options.wasmPaths
  ort.env.wasm.numThreads = options.threads ?? (globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1)
  return {
    name,
    runtime: ort as unknown as Runtime,
    // The WebAssembly runtime fills outputs in its own heap, never in the arrays it is given.
    variables: name === 'webgpu' ? 'onDevice' : 'returned',
    options: {
      executionProviders: name === 'webgpu' ? ['webgpu', 'wasm'] : ['wasm'],
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    },
  }
}

const backend: Backend = {
  open: async (device = 'cpu') => {
    if (device !== 'cpu' && device !== 'webgpu')
      throw new Error(`device '${device}' is not supported in the browser; there are: cpu, webgpu`)
    if (device === 'webgpu' && !hasWebGpu()) throw new Error("device 'webgpu': this browser has no WebGPU; use 'cpu'")
    let opened = devices.get(device)
    if (!opened) {
      opened = load(device)
      devices.set(device, opened)
    }
    return opened
  },
  list: async () => [
    { name: 'cpu', available: true, detail: 'WebAssembly' },
    {
      name: 'webgpu',
      available: hasWebGpu(),
      detail: hasWebGpu() ? 'this browser has WebGPU' : 'this browser has no WebGPU',
    },
  ],
}

registerBackend(backend)
