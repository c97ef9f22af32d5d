import { readFileSync } from 'node:fs'
import type { numpy } from '@jax-js/jax'
import { type BenchCase, comparedSteps, withPartOfBatch } from '../cases/case.ts'
import { type Contestant, converse, type Runnable } from '../conversation.ts'
import { cotangentSeed, type Mark, markOf, sampleValues, uniformValues } from '../samples.ts'

/**
 * The jax-js contestant: its WebAssembly backend with everything under `jit`. Arrays are owned by hand: passing one to
 * a function gives it away, and `.ref` keeps it.
 */

// The library reads the browser's navigator while it loads; Node 20 has none.
Object.assign(globalThis, { navigator: globalThis.navigator ?? { hardwareConcurrency: 2 } })
const { blockUntilReady, defaultDevice, init, jit, numpy: np, tree, valueAndGrad, vjp } = await import('@jax-js/jax')
const { jaxLosses, operations } = await import('./jax-models.ts')

type Arrays = Record<string, numpy.Array>

function read(benchCase: BenchCase): Arrays {
  const arrays: Arrays = {}
  for (const [position, sample] of benchCase.inputs.entries()) {
    const values = sampleValues(sample, position)
    const dtype = sample.dtype === 'i32' ? np.int32 : np.float32
    arrays[sample.name] = np.array(values, { shape: [...sample.shape], dtype })
  }
  return arrays
}

/** Larger kernels than 1x1 run at half a GFLOP/s and, before the engine optimises them, at a tenth of that. */
const convolutionDivisor = 16

function withPartOfImages(benchCase: BenchCase): BenchCase {
  const inputs = benchCase.inputs.map(sample => {
    const [batch, ...rest] = sample.shape
    return sample.name === 'input' ? { ...sample, shape: [batch / convolutionDivisor, ...rest] } : sample
  })
  return { ...benchCase, inputs }
}

async function prepareCore(whole: BenchCase): Promise<Runnable> {
  const isSlow = whole.op === 'conv' && Number(whole.attributes['padding']) > 0
  const benchCase = isSlow ? withPartOfImages(whole) : whole
  const inputs = read(benchCase)
  const operate = operations(benchCase)
  const names = benchCase.inputs.map(({ name }) => name)
  const constants = benchCase.inputs.filter(({ gradient }) => !gradient).map(({ name }) => name)
  const operands = names.filter(name => !constants.includes(name))
  const forward = jit((...values: numpy.Array[]) => [operate(...values)])
  const example = forward(...names.map(name => inputs[name].ref))[0]
  const cotangent = np.array(uniformValues(example.shape, cotangentSeed), { shape: [...example.shape] })
  example.dispose()
  const both = jit((seed: numpy.Array, ...values: numpy.Array[]) => {
    const differentiated = (...free: numpy.Array[]) => operate(...free, ...values.slice(operands.length))
    const [value, pullback] = vjp(differentiated, values.slice(0, operands.length))
    const gradients = pullback(seed) as numpy.Array[]
    pullback.dispose()
    return [value, ...gradients]
  })
  const compute = (): numpy.Array[] => {
    const values = names.map(name => inputs[name].ref)
    return benchCase.mode === 'forward' ? forward(...values) : both(cotangent.ref, ...values)
  }
  const start = performance.now()
  const results = compute()
  await blockUntilReady(results)
  const compileSeconds = (performance.now() - start) / 1000
  const marks = await Promise.all(results.map(async (result, position) => markOf(await result.data(), position)))
  return {
    marks,
    compileSeconds,
    batchShare: isSlow ? 1 / convolutionDivisor : 1,
    async run() {
      const computed = compute()
      await blockUntilReady(computed)
      tree.dispose(computed)
    },
    release() {
      tree.dispose([inputs, cotangent])
      forward.dispose()
      if (benchCase.mode === 'both') both.dispose()
    },
  }
}

const rate = 1e-3
const decay = 0.01
const [beta1, beta2] = [0.9, 0.999]

interface State {
  parameters: Arrays
  first: Arrays
  second: Arrays
}

/** AdamW on one array; `corrections` holds 1/(1-beta1^t) and 1/(1-beta2^t). */
function adamW(w: numpy.Array, g: numpy.Array, m: numpy.Array, v: numpy.Array, corrections: numpy.Array[]) {
  const first = m.mul(beta1).add(g.ref.mul(1 - beta1))
  const second = v.mul(beta2).add(np.square(g).mul(1 - beta2))
  const size = np.sqrt(second.ref.mul(corrections[1].ref)).add(1e-8)
  const step = first.ref.mul(corrections[0].ref).div(size).mul(rate)
  return [w.mul(1 - rate * decay).sub(step), first, second]
}

/**
 * The parts of the batch that are run, as divisors: its convolutions run at half a GFLOP/s (minutes a step), and the
 * unrolled recurrence of the whole Mamba batch outgrows the 4 GB of a WebAssembly memory.
 */
const batchDivisors: Readonly<Record<string, number>> = { cnn: 32, mamba: 8 }

async function prepareTrain(whole: BenchCase): Promise<Runnable> {
  const divisor = batchDivisors[whole.op] ?? 1
  const benchCase = withPartOfBatch(whole, divisor)
  const arrays = read(benchCase)
  const names = benchCase.inputs.filter(({ gradient }) => gradient).map(({ name }) => name)
  const pick = (chosen: (name: string) => boolean) =>
    Object.fromEntries(Object.entries(arrays).filter(([name]) => chosen(name)))
  const batch = pick(name => !names.includes(name))
  const parameters = pick(name => names.includes(name))
  const zeros = () => Object.fromEntries(names.map(name => [name, np.zeros(parameters[name].shape)]))
  const lossOf = jaxLosses[benchCase.op]
  const state: State = { parameters, first: zeros(), second: zeros() }
  let time = 0

  const update = jit(
    (p: Arrays, first: Arrays, second: Arrays, data: Arrays, scale1: numpy.Array, scale2: numpy.Array) => {
      const [loss, gradients] = valueAndGrad((q: Arrays) => lossOf(q, data, benchCase.attributes))(tree.ref(p))
      const next: Record<string, Arrays> = { parameters: {}, first: {}, second: {} }
      for (const name of names) {
        const [w, m, v] = adamW(p[name], gradients[name], first[name], second[name], [scale1, scale2])
        next['parameters'][name] = w
        next['first'][name] = m
        next['second'][name] = v
      }
      return { loss, parameters: next['parameters'], first: next['first'], second: next['second'] }
    },
  )

  const step = async (): Promise<number> => {
    time++
    const corrections = [beta1, beta2].map(beta => np.array([1 / (1 - beta ** time)]))
    const data = tree.ref(batch)
    const next = update(state.parameters, state.first, state.second, data, corrections[0], corrections[1])
    await blockUntilReady(next)
    Object.assign(state, { parameters: next.parameters, first: next.first, second: next.second })
    return Number((await next.loss.data())[0])
  }

  const start = performance.now()
  const losses = [await step()]
  const compileSeconds = (performance.now() - start) / 1000
  for (let more = 1; more < comparedSteps; more++) losses.push(await step())
  return {
    marks: losses.map((loss): Mark => ({ value: loss, scale: Math.abs(loss) })),
    compileSeconds,
    batchShare: 1 / divisor,
    async run() {
      await step()
    },
    release() {
      tree.dispose(state)
      tree.dispose(batch)
      update.dispose()
    },
  }
}

const contestant: Contestant = {
  async describe() {
    await init('wasm')
    defaultDevice('wasm')
    const manifest = new URL('../node_modules/@jax-js/jax/package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
    return { version, backend: `wasm under jit${typeof Worker === 'undefined' ? ', one thread' : ''}` }
  },
  async prepare(benchCase) {
    await init('wasm')
    defaultDevice('wasm')
    return benchCase.suite === 'core' ? prepareCore(benchCase) : prepareTrain(benchCase)
  },
}

await converse(contestant)
