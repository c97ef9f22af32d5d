import { readFileSync } from 'node:fs'
import { type Contestant, converse } from '../conversation.ts'
import { prepareCore } from './core.ts'
import { prepareTrain } from './train.ts'

/** Tenet as a contestant: everything is compiled, and lives in variables that a run reads and writes. */
const contestant: Contestant = {
  async describe() {
    const manifest = new URL('../../package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
    const runtime = new URL('../../node_modules/onnxruntime-node/package.json', import.meta.url)
    const onnxRuntime = JSON.parse(readFileSync(runtime, 'utf8')) as { version: string }
    return { version, backend: `ONNX Runtime ${onnxRuntime.version}, cpu` }
  },
  async prepare(benchCase) {
    return benchCase.suite === 'core' ? prepareCore(benchCase) : prepareTrain(benchCase)
  },
}

await converse(contestant)
