import {
  allocate,
  compile,
  conv,
  embedding,
  gelu,
  layerNorm,
  linearScan,
  matmul,
  type ProgramOptions,
  resize,
  softmax,
  type Tensor,
  Variable,
  vjp,
} from '../../src/core/index.ts'
import { selectiveScan } from '../../src/nn/selective-scan.ts'
import type { BenchCase } from '../cases/case.ts'
import { cotangentSeed, markOf, sampleValues, uniformValues } from '../samples.ts'
import type { TenetRunnable } from './runnable.ts'

type Operation = (attributes: BenchCase['attributes'], ...operands: Tensor[]) => Tensor

const operations: Readonly<Record<string, Operation>> = {
  matmul: ({ transposeB }, left, right) => matmul(left, right, { transposeB: transposeB === true }),
  conv: ({ stride, padding, groups }, x, weight) =>
    conv(x, weight, { stride: Number(stride), padding: Number(padding), groups: Number(groups) }),
  softmax: (_, x) => softmax(x),
  layerNorm: ({ eps }, x, weight, bias) => layerNorm(x, { weight, bias, epsilon: Number(eps) }),
  gelu: (_, x) => gelu(x),
  scan: (_, decay, drive) => linearScan(decay, drive, { axis: 1 }),
  selectiveScan: (_, u, delta, A, B, C, D) => selectiveScan(u, delta, A, B, C, { D, softplus: true }).output,
  gather: (_, table, ids) => embedding(table, ids),
  resize: ({ size }, x) => resize(x, { size: Number(size), mode: 'linear' }),
}

/** Operands, results and gradients stay in variables, as they would inside a training step. */
export async function prepareCore(benchCase: BenchCase, options: ProgramOptions = {}): Promise<TenetRunnable> {
  const operation = operations[benchCase.op]
  if (operation === undefined) throw new Error(`no such operation: ${benchCase.op}`)
  const operands = benchCase.inputs.map(
    (sample, position) => new Variable(sampleValues(sample, position), sample.shape, sample.dtype, sample.name),
  )
  const differentiated = operands.filter((_, position) => benchCase.inputs[position].gradient)
  const output = operation(benchCase.attributes, ...operands)
  const cotangent = new Variable(uniformValues(output.shape, cotangentSeed), output.shape, 'f32', 'cotangent')
  const computed = benchCase.mode === 'forward' ? [output] : [output, ...vjp([output], differentiated, [cotangent])]
  const results = computed.map(({ shape, size }, i) => new Variable(allocate('f32', size), shape, 'f32', `result${i}`))

  const step = compile(() => {
    for (const [i, result] of results.entries()) result.assign(computed[i])
    return {}
  }, options)
  const program = await step.program()
  await step()
  return {
    marks: results.map(({ data }, position) => markOf(data as Float32Array, position)),
    compileSeconds: program.compileSeconds,
    program,
    async run() {
      await step()
    },
    release: () => step.release(),
  }
}
