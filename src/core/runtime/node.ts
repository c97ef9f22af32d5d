import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import type { Backend, Device, DeviceInfo, Runtime } from './backend.ts'
import { registerBackend } from './backend.ts'
import { probeChannelBlock } from './channel-block.ts'

const require = createRequire(import.meta.url)
type NodeRuntime = Runtime & { listSupportedBackends(): { name: string; bundled: boolean }[] }

let loaded: NodeRuntime | undefined

/** Loaded at first use: reading the native library takes a tenth of a second that `--help` need not pay. */
function runtime(): NodeRuntime {
  loaded ??= require('onnxruntime-node') as NodeRuntime
  return loaded
}

const devices = new Map<string, Promise<Device>>()

async function load(name: string): Promise<Device> {
  const supported = runtime()
    .listSupportedBackends()
    .map(entry => entry.name)
  if (!supported.includes(name))
    throw new Error(`device '${name}' is not supported here; there are: ${supported.join(', ')}`)
  const threads = Number(process.env.TENET_THREADS ?? availableParallelism())
  return {
    name,
    runtime: runtime(),
    channelBlock: name === 'cpu' ? await probeChannelBlock(runtime()) : 0,
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
}

function open(name: string): Promise<Device> {
  let opened = devices.get(name)
  if (!opened) {
    opened = load(name)
    devices.set(name, opened)
    opened.catch(() => devices.delete(name))
  }
  return opened
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
