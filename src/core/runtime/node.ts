import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import type { Backend, Device, DeviceInfo, Runtime } from './backend.ts'
import { registerBackend } from './backend.ts'

const require = createRequire(import.meta.url)
type NodeRuntime = Runtime & { listSupportedBackends(): { name: string; bundled: boolean }[] }

let loaded: NodeRuntime | undefined

/** Loaded at first use: reading the native library takes a tenth of a second that `--help` need not pay. */
function runtime(): NodeRuntime {
  loaded ??= require('onnxruntime-node') as NodeRuntime
  return loaded
}

const devices = new Map<string, Device>()

function open(name: string): Device {
  const known = devices.get(name)
  if (known) return known
  const supported = runtime()
    .listSupportedBackends()
    .map(entry => entry.name)
  if (!supported.includes(name))
    throw new Error(`device '${name}' is not supported here; there are: ${supported.join(', ')}`)
  const threads = Number(process.env.TENET_THREADS ?? availableParallelism())
  const device: Device = {
    name,
    runtime: runtime(),
    variables: 'inPlace',
    options: {
      executionProviders: name === 'cpu' ? ['cpu'] : [name, 'cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 3,
    },
  }
  devices.set(name, device)
  return device
}

const backend: Backend = {
  open: async device => open(device ?? process.env.TENET_DEVICE ?? 'cpu'),
  list: async () =>
    runtime()
      .listSupportedBackends()
      .map(
        ({ name, bundled }): DeviceInfo => ({
          name,
          available: bundled,
          detail: bundled
            ? name === 'cpu'
              ? `${availableParallelism()} threads`
              : 'bundled; needs a driver'
            : 'supported, but not in this build of ONNX Runtime',
        }),
      ),
}

registerBackend(backend)
