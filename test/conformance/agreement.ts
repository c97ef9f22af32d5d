import { expect } from 'vitest'
import {
  exportModel,
  type HostTensor,
  hostTensor,
  interpret,
  type ReadOptions,
  readModel,
} from '../../src/core/index.ts'
import { type ModelDescription, modelBytes } from '../onnx-model.ts'
import { differenceOf, fromOnnx, runOnnx } from './node-tests.ts'

export type Values = Record<string, HostTensor>

/** Importing gives what ONNX Runtime makes of the file itself: by the interpreter, and exported and run again. */
export async function expectAgrees(
  description: ModelDescription,
  values: Values,
  options: ReadOptions = {},
): Promise<void> {
  const bytes = modelBytes(description)
  const given = new Map(Object.entries(values))
  const expected = await runOnnx(bytes, given)
  const model = readModel(bytes, options)
  const names = [...model.outputs.keys()]
  const bound = new Map([...model.inputs].map(([name, input]) => [input, values[name].data]))
  const reference = interpret([...model.outputs.values()], bound)
  const again = await runOnnx(
    exportModel(Object.fromEntries(model.outputs), Object.fromEntries(model.inputs)).model,
    given,
  )
  for (const [i, name] of names.entries()) {
    const want = hostLike(expected[name])
    expect(differenceOf(reference[i], want), `interpreter: ${name}`).toBeUndefined()
    expect(differenceOf(fromOnnx(again[name]), want), `exported: ${name}`).toBeUndefined()
  }
}

function hostLike(result: Parameters<typeof fromOnnx>[0]): HostTensor {
  const { shape, dtype, data } = fromOnnx(result)
  return hostTensor([...data], shape, dtype)
}
