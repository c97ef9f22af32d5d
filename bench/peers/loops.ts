import type { BenchCase } from '../cases/case.ts'
import { type Contestant, converse } from '../conversation.ts'
import { cotangentSeed, markOf, sampleValues, uniformValues } from '../samples.ts'

/** The sequential reference: the recurrence and its gradient by plain loops over typed arrays, one channel after another. */

interface Sizes {
  readonly batch: number
  readonly channels: number
  readonly length: number
  readonly states: number
}

type Arrays = readonly Float32Array[]

const softplus = (x: number): number => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0)

/** Runs one channel of one sample; keeps the state before each step in `history` [length + 1, states]. */
function forwardRow(
  [u, delta, A, B, C, D]: Arrays,
  { channels, length, states }: Sizes,
  place: { readonly b: number; readonly e: number },
  history: Float32Array,
  y: Float32Array,
): void {
  const row = (place.b * channels + place.e) * length
  const group = place.b * states * length
  history.fill(0, 0, states)
  for (let t = 0; t < length; t++) {
    const step = softplus(delta[row + t])
    const drive = step * u[row + t]
    let read = D[place.e] * u[row + t]
    for (let n = 0; n < states; n++) {
      const decay = Math.exp(step * A[place.e * states + n])
      const next = decay * history[t * states + n] + drive * B[group + n * length + t]
      history[(t + 1) * states + n] = next
      read += next * C[group + n * length + t]
    }
    y[row + t] = read
  }
}

/** The same row from its end: adds to the gradients of all arguments. */
function backwardRow(
  [u, delta, A, B, C, D]: Arrays,
  [du, dDelta, dA, dB, dC, dD]: Arrays,
  { channels, length, states }: Sizes,
  { b, e }: { readonly b: number; readonly e: number },
  history: Float32Array,
  cotangent: Float32Array,
): void {
  const row = (b * channels + e) * length
  const group = b * states * length
  const pull = new Float32Array(states)
  for (let t = length - 1; t >= 0; t--) {
    const [input, out] = [u[row + t], cotangent[row + t]]
    const step = softplus(delta[row + t])
    let [pullStep, pullInput] = [0, out * D[e]]
    dD[e] += out * input
    for (let n = 0; n < states; n++) {
      const [i, j] = [e * states + n, group + n * length + t]
      dC[j] += out * history[(t + 1) * states + n]
      pull[n] += out * C[j]
      const decay = Math.exp(step * A[i])
      const pullDecay = pull[n] * history[t * states + n] * decay
      pullStep += pullDecay * A[i] + pull[n] * B[j] * input
      pullInput += pull[n] * step * B[j]
      dA[i] += pullDecay * step
      dB[j] += pull[n] * step * input
      pull[n] *= decay
    }
    du[row + t] += pullInput
    dDelta[row + t] += pullStep / (1 + Math.exp(-delta[row + t]))
  }
}

function prepare({ op, inputs, mode }: BenchCase) {
  if (op !== 'selectiveScan') throw new Error(`the sequential reference has no ${op}`)
  const values = inputs.map((sample, position) => sampleValues(sample, position) as Float32Array)
  const [batch, channels, length] = inputs[0].shape
  const sizes = { batch, channels, length, states: inputs[2].shape[1] }
  const y = new Float32Array(values[0].length)
  const gradients = mode === 'forward' ? [] : values.map(({ length: size }) => new Float32Array(size))
  const cotangent = uniformValues(inputs[0].shape, cotangentSeed)
  const history = new Float32Array((length + 1) * sizes.states)
  const run = (): void => {
    for (const gradient of gradients) gradient.fill(0)
    for (let b = 0; b < batch; b++)
      for (let e = 0; e < channels; e++) {
        forwardRow(values, sizes, { b, e }, history, y)
        if (gradients.length) backwardRow(values, gradients, sizes, { b, e }, history, cotangent)
      }
  }
  run()
  return { marks: [y, ...gradients].map((result, position) => markOf(result, position)), run, release: () => {} }
}

const contestant: Contestant = {
  async describe() {
    return { version: process.version, backend: 'plain loops, one thread' }
  },
  async prepare(benchCase) {
    return prepare(benchCase)
  },
}

await converse(contestant)
