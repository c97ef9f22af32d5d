import * as tf from '@tensorflow/tfjs'
import '@tensorflow/tfjs-backend-wasm'
import { type BenchCase, comparedSteps, withPartOfBatch } from '../cases/case.ts'
import { type Contestant, converse, type Runnable } from '../conversation.ts'
import { cotangentSeed, type Mark, markOf, sampleValues, uniformValues } from '../samples.ts'
import { tfjsLosses } from './tfjs-models.ts'
import { convolution, embedding, erfGelu, type Named, product, scan } from './tfjs-operations.ts'

/**
 * The TensorFlow.js contestant: its WebAssembly backend with SIMD (in Node it runs on one thread), in its own
 * channels-last layout. Where that backend has no kernel for a gradient, or a very slow one, the gradient is composed
 * of kernels that it does have (`tfjs-operations.ts`).
 */

const toChannelsLast = (x: tf.Tensor) => (x.rank === 4 ? tf.transpose(x, [0, 2, 3, 1]) : x)
const toChannelsFirst = (x: tf.Tensor) => (x.rank === 4 ? tf.transpose(x, [0, 3, 1, 2]) : x)
const kernelToLast = (w: tf.Tensor) => tf.transpose(w, [2, 3, 1, 0])
const kernelToFirst = (w: tf.Tensor) => tf.transpose(w, [3, 2, 0, 1])

function read(benchCase: BenchCase): Named {
  const tensors: Named = {}
  for (const [position, sample] of benchCase.inputs.entries()) {
    const values = sampleValues(sample, position)
    const tensor = tf.tensor(values, [...sample.shape], sample.dtype === 'i32' ? 'int32' : 'float32')
    const isKernel = sample.shape.length === 4 && sample.name.endsWith('weight')
    tensors[sample.name] = isKernel ? kernelToLast(tensor) : toChannelsLast(tensor)
  }
  return tensors
}

function forward(benchCase: BenchCase, inputs: Named): (...operands: tf.Tensor[]) => tf.Tensor {
  const { op, attributes } = benchCase
  if (op === 'matmul') return (left, right) => product(left, right, attributes['transposeB'] === true)
  if (op === 'conv') {
    const depthwise = Number(attributes['groups']) > 1
    return (x, w) => convolution(x as tf.Tensor4D, w as tf.Tensor4D, Number(attributes['stride']), depthwise)
  }
  if (op === 'softmax') return x => tf.softmax(x)
  if (op === 'layerNorm') {
    return (x, scale, shift) => {
      const { mean, variance } = tf.moments(x, -1, true)
      return x
        .sub(mean)
        .div(variance.add(Number(attributes['eps'])).sqrt())
        .mul(scale)
        .add(shift)
    }
  }
  if (op === 'gelu') return erfGelu
  if (op === 'scan') return scan
  if (op === 'gather') return table => embedding(table as tf.Tensor2D, inputs['ids'] as tf.Tensor1D)
  if (op === 'resize') {
    const size = Number(attributes['size'])
    return x => tf.image.resizeBilinear(x as tf.Tensor4D, [size, size], false, true)
  }
  throw new Error(`no such operation: ${op}`)
}

function prepareCore(benchCase: BenchCase): Runnable {
  const inputs = read(benchCase)
  const operate = forward(benchCase, inputs)
  const operands = benchCase.inputs.filter(({ gradient }) => gradient).map(({ name }) => inputs[name])
  const compute = (): tf.Tensor[] => {
    if (benchCase.mode === 'forward') return [tf.tidy(() => operate(...operands))]
    const { value, grads } = tf.tidy(() => tf.valueAndGrads(operate)(operands, cotangent))
    return [value, ...grads]
  }
  const output = tf.tidy(() => operate(...operands))
  const [count, height, width, channels] = output.shape
  const shape = output.rank === 4 ? [count, channels, height, width] : output.shape
  const cotangent = toChannelsLast(tf.tensor(uniformValues(shape, cotangentSeed), shape))
  const results = compute()
  const isConvolution = benchCase.op === 'conv'
  const marks = results.map((result, position): Mark => {
    const isKernel = isConvolution && position === 2
    return markOf((isKernel ? kernelToFirst(result) : toChannelsFirst(result)).dataSync(), position)
  })
  tf.dispose([output, results])
  return {
    marks,
    run: () => tf.dispose(compute()),
    release: () => tf.disposeVariables(),
  }
}

/** The parts of the batch that are run, as divisors: a step of the whole Mamba batch takes half a minute. */
const batchDivisors: Readonly<Record<string, number>> = { mamba: 8 }

function prepareTrain(whole: BenchCase): Runnable {
  const divisor = batchDivisors[whole.op] ?? 1
  const benchCase = withPartOfBatch(whole, divisor)
  const tensors = read(benchCase)
  const parameters: Record<string, tf.Variable> = {}
  const batch: Named = {}
  for (const { name, gradient } of benchCase.inputs) {
    if (gradient) parameters[name] = tf.variable(tensors[name], true, name)
    else batch[name] = tensors[name]
  }
  const lossOf = tfjsLosses[benchCase.op]
  const rate = 1e-3
  const decay = 0.01
  const adam = tf.train.adam(rate, 0.9, 0.999, 1e-8)
  const step = (): number =>
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => lossOf(parameters, batch, benchCase.attributes) as tf.Scalar)
      for (const parameter of Object.values(parameters)) parameter.assign(parameter.mul(1 - rate * decay))
      adam.applyGradients(grads as Record<string, tf.Variable>)
      return value.dataSync()[0]
    })
  const marks = Array.from({ length: comparedSteps }, (): Mark => {
    const loss = step()
    return { value: loss, scale: Math.abs(loss) }
  })
  return { marks, batchShare: 1 / divisor, run: () => void step(), release: () => tf.disposeVariables() }
}

const contestant: Contestant = {
  async describe() {
    await tf.setBackend('wasm')
    return { version: tf.version.tfjs, backend: `${tf.getBackend()} with SIMD, one thread` }
  },
  async prepare(benchCase) {
    await tf.setBackend('wasm')
    return benchCase.suite === 'core' ? prepareCore(benchCase) : prepareTrain(benchCase)
  },
}

await converse(contestant)
