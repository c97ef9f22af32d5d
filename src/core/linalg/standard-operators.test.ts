import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../test/check.ts'
import { vjp } from '../autodiff.ts'
import { add, batchNorm, gelu, geluTanh, layerNorm, mul, rmsNorm, softmax } from '../index.ts'
import { interpret } from '../interpret.ts'
import { writeModel } from '../onnx/write.ts'
import { placeholder, type Tensor, tensor } from '../tensor.ts'
import { eigh, qr, svd } from './decomposition.ts'
import { inverse, slogDeterminant } from './elimination.ts'
import { eye } from './matrices.ts'
import { cholesky } from './triangular.ts'

const shifted = (x: Tensor): Tensor => add(x, mul(eye(x.shape[x.rank - 1]), 3))

/** What has a lowering of its own for files that must run on any runtime, or is lowered as a loop. */
const functions: [string, (x: Tensor) => Tensor, number[]][] = [
  ['inverse', x => inverse(shifted(x)), [2, 4, 4]],
  ['slogDeterminant', x => slogDeterminant(shifted(x)).logAbs, [2, 4, 4]],
  ['cholesky', x => cholesky(shifted(x)), [2, 3, 3]],
  ['eigh', x => eigh(x).values, [5, 5]],
  ['svd', x => svd(x).s, [3, 5]],
  ['qr', x => qr(x).r, [5, 3]],
  ['softmax', x => softmax(x), [3, 5]],
  ['layerNorm', x => layerNorm(x), [3, 5]],
  ['rmsNorm', x => rmsNorm(x), [3, 5]],
  ['batchNorm', x => batchNorm(x).output, [3, 2, 4, 4]],
  ['gelu', gelu, [3, 5]],
  ['geluTanh', geluTanh, [3, 5]],
]

describe('files that must run on any runtime', () => {
  it.each(functions)('%s and its gradient need standard operators only, and give the same', async (_, f, shape) => {
    const x = placeholder('x', shape)
    const y = f(x)
    const cotangent = tensor(randomTensor(y.shape, 9).data, y.shape)
    const outputs = [y, ...vjp([y], [x], [cotangent])]
    const { bytes } = writeModel(
      [{ name: 'x', tensor: x }],
      outputs.map((tensor, i) => ({ name: `y${i}`, tensor })),
      { contributed: false },
    )
    expect(Buffer.from(bytes).toString('latin1')).not.toContain('com.microsoft')
    const session = await InferenceSession.create(bytes)
    const value = randomTensor(shape, 3)
    const results = await session.run({ x: new OrtTensor('float32', value.data as Float32Array, shape) })
    interpret(outputs, new Map([[x, value.data]])).forEach(({ data }, i) => {
      expectClose(results[`y${i}`].data as Float32Array, data, 1e-4, `output ${i}`)
    })
    await session.release()
  })
})
