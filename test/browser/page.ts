import { configureBrowser } from '../../src/index.browser.ts'
import { smallTraining } from './small-training.ts'

configureBrowser({ wasmPaths: '/ort/', threads: 1 })

/** What the test calls inside the page. */
Object.assign(globalThis, {
  smallTraining,
  /** Runs a model file with plain onnxruntime-web. */
  async runModel(url: string, input: string, values: number[], shape: number[]): Promise<number[]> {
    const ort = await import('onnxruntime-web/wasm')
    ort.env.wasm.wasmPaths = '/ort/'
    ort.env.wasm.numThreads = 1
    const session = await ort.InferenceSession.create(new Uint8Array(await (await fetch(url)).arrayBuffer()))
    const results = await session.run({ [input]: new ort.Tensor('float32', Float32Array.from(values), shape) })
    return Array.from((Object.values(results)[0].data as Float32Array) ?? [])
  },
})
