import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { exportModel, grad, hostTensor, interpret, readModel } from '../../src/core/index.ts'
import { expectClose } from '../check.ts'
import { onnxChecker, onnxPython } from '../onnx-model.ts'
import { fromOnnx, runOnnx } from './node-tests.ts'

interface Described {
  readonly x: readonly number[]
  readonly shape: readonly number[]
  readonly integer: boolean
  readonly outputs: readonly { readonly shape: readonly number[]; readonly data: readonly number[] }[]
}

const folder = mkdtempSync(join(tmpdir(), 'tenet-torch-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Debian's PyTorch exports; without it there is nothing to compare. */
const exported = ((): string[] => {
  const script = join(import.meta.dirname, 'torch-models.py')
  const { status } = spawnSync('/usr/bin/python3', [script, folder], { stdio: 'ignore' })
  return status === 0 ? readdirSync(folder).filter(name => name.endsWith('.onnx')) : []
})()

describe.skipIf(exported.length === 0)('models that PyTorch exported with an open batch', () => {
  it.each(exported)('%s: interpreted, exported again and run, gives what PyTorch gives', async file => {
    const description = JSON.parse(readFileSync(join(folder, `${file.split('-')[0]}.json`), 'utf8')) as Described
    const x = hostTensor(description.x, description.shape, description.integer ? 'i64' : 'f32')
    const model = readModel(readFileSync(join(folder, file)))
    const input = model.inputs.get('x')!
    expect(input.shape).toEqual([-1, ...description.shape.slice(1)])
    const outputs = [...model.outputs.values()]
    const reference = interpret(outputs, new Map([[input, x.data]]))
    const again = exportModel(Object.fromEntries(model.outputs), { x: input })
    if (onnxPython) expect(onnxChecker([again])).toEqual(['ok'])
    const results = await runOnnx(again.model, new Map([['x', x]]))
    description.outputs.forEach(({ shape, data }, i) => {
      expect(reference[i].shape).toEqual(shape)
      expectClose(reference[i].data, data, 1e-4, `interpreted output ${i}`)
      const result = fromOnnx(results[`y${i}`])
      expect(result.shape).toEqual(shape)
      expectClose(result.data, data, 1e-4, `exported output ${i}`)
    })
  })

  it.each(exported.filter(file => !file.startsWith('functions')))(
    '%s: every parameter gets a finite gradient',
    file => {
      const description = JSON.parse(readFileSync(join(folder, `${file.split('-')[0]}.json`), 'utf8')) as Described
      const model = readModel(readFileSync(join(folder, file)), { batch: description.shape[0] })
      const [first] = model.outputs.values()
      const parameters = [...model.parameters.values()]
      const gradients = grad(first.mul(first).sum(), parameters)
      const values = interpret(gradients, new Map([[model.inputs.get('x')!, description.x]]))
      expect(parameters.length).toBeGreaterThan(5)
      expect(values.every(({ data }) => data.every(Number.isFinite))).toBe(true)
      expect(values.filter(({ data }) => data.some(value => value !== 0)).length).toBeGreaterThan(parameters.length / 2)
    },
  )
})
