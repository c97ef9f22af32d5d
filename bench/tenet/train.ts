import { compile, hostTensor, type ProgramOptions, type Tensor, tensor, Variable, vjp } from '../../src/core/index.ts'
import { adamW, Optimizer } from '../../src/optim/index.ts'
import { type BenchCase, comparedSteps } from '../cases/case.ts'
import { type Mark, sampleValues } from '../samples.ts'
import { type Named, tenetLosses } from './models.ts'
import type { TenetRunnable } from './runnable.ts'

/** One compiled call a step: forward, backward, AdamW and running statistics. */
export async function prepareTrain(benchCase: BenchCase, options: ProgramOptions = {}): Promise<TenetRunnable> {
  const lossOf = tenetLosses[benchCase.op]
  if (lossOf === undefined) throw new Error(`no such model: ${benchCase.op}`)
  const parameters: Record<string, Variable> = {}
  const batch: (Float32Array | Int32Array)[] = []
  const names: string[] = []
  const shapes: (readonly number[])[] = []
  for (const [position, sample] of benchCase.inputs.entries()) {
    const values = sampleValues(sample, position)
    if (sample.gradient) parameters[sample.name] = new Variable(values, sample.shape, 'f32', sample.name)
    else {
      names.push(sample.name)
      batch.push(values)
      shapes.push(sample.shape)
    }
  }
  const optimizer = new Optimizer([
    { parameters: Object.values(parameters), rule: adamW({ weightDecay: 0.01 }), learningRate: 1e-3 },
  ])
  const step = compile((data: Tensor[]) => {
    const named: Named = Object.fromEntries(names.map((name, i) => [name, data[i]]))
    const loss = lossOf(parameters, named, benchCase.attributes)
    optimizer.apply(vjp([loss], optimizer.parameters, [tensor(1)]))
    return loss
  }, options)
  const values = batch.map((data, i) => hostTensor(data, shapes[i]))
  const program = await step.program(values)
  const marks: Mark[] = []
  for (let first = 0; first < comparedSteps; first++) {
    const loss = (await step(values)).item()
    marks.push({ value: loss, scale: Math.abs(loss) })
  }
  return {
    marks,
    compileSeconds: program.compileSeconds,
    program,
    async run() {
      await step(values)
    },
    release: () => step.release(),
  }
}
