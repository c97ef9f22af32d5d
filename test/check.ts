import fc from 'fast-check'
import { expect } from 'vitest'
import {
  type DType,
  grad,
  type HostTensor,
  hostTensor,
  interpret,
  isFloat,
  mul,
  Program,
  placeholder,
  type Shape,
  sizeOf,
  sum,
  Tensor,
  tensor,
} from '../src/core/index.ts'

/** A small deterministic generator of numbers in [0, 1), for test data. */
export function randomNumbers(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32
  }
}

/** Random floats in [low, high), rounded to f32 so that both worlds start from the same numbers. */
export function randomTensor(shape: Shape, seed = 1, low = -2, high = 2): HostTensor {
  const next = randomNumbers(seed)
  return hostTensor(
    Float32Array.from({ length: sizeOf(shape) }, () => low + (high - low) * next()),
    shape,
  )
}

/** Shapes of up to `maxRank` axes of size 1 to `maxSize`. */
export const shapes = (maxRank = 3, maxSize = 4, minRank = 0): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: maxSize }), { minLength: minRank, maxLength: maxRank })

/** Shapes that may hold an empty axis. */
export const shapesWithEmpty = (maxRank = 3, maxSize = 4): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 0, max: maxSize }), { minLength: 1, maxLength: maxRank })

/** Two shapes that broadcast together. */
export const broadcastablePair = (maxRank = 3, maxSize = 4): fc.Arbitrary<[number[], number[]]> =>
  shapes(maxRank, maxSize).chain(shape =>
    fc
      .tuple(
        fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
        fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
        fc.nat(shape.length),
      )
      .map(([a, b, cut]): [number[], number[]] => [
        shape.map((dim, i) => (a[i] && !b[i] ? 1 : dim)),
        shape.map((dim, i) => (b[i] ? 1 : dim)).slice(cut),
      ]),
  )

export interface CheckOptions {
  /** Relative to the largest magnitude of the reference; default 2e-5. */
  readonly tolerance?: number
  /** Which inputs to differentiate: all float ones by default, `false` for none. */
  readonly gradient?: boolean
  /** Also compare the second derivative with differences of the first; default false. */
  readonly second?: boolean
  /** Step of the central difference; default 1e-5. */
  readonly step?: number
}

export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  expect(actual.length, `${what}: length`).toBe(expected.length)
  let scale = 1e-3
  for (let i = 0; i < expected.length; i++)
    if (Number.isFinite(expected[i])) scale = Math.max(scale, Math.abs(expected[i]))
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i]) || actual[i] === expected[i]) continue
    const error = Math.abs(actual[i] - expected[i]) / scale
    if (!(error <= tolerance))
      expect.fail(
        `${what}: entry ${i} is ${actual[i]}, expected ${expected[i]} (relative error ${error.toExponential(2)})`,
      )
  }
}

/**
 * Checks a function of tensors against its own float64 meaning: the runtime gives what the interpreter gives, for the
 * value and for the gradient, and the gradient is what central differences of the interpreter say.
 */
export async function check(
  f: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  values: readonly HostTensor[],
  options: CheckOptions = {},
): Promise<void> {
  const { tolerance = 2e-5, gradient = true } = options
  const inputs = values.map((value, i) => placeholder(`x${i}`, value.shape, value.dtype))
  const made = f(...inputs)
  const outputs = made instanceof Tensor ? [made] : [...made]
  await compareWorlds(inputs, outputs, values, tolerance, 'value')
  const floats = inputs.filter(input => isFloat(input.dtype) && input.size > 0)
  if (!gradient || floats.length === 0) return
  const weighted = outputs
    .filter(output => isFloat(output.dtype))
    .map((output, i) => sum(mul(output, weights(output.shape, i))))
  const loss = weighted.reduce((a, b) => a.add(b))
  const gradients = grad(loss, floats)
  await compareWorlds(inputs, gradients, values, 5 * tolerance, 'gradient')
  compareDifferences(loss, gradients, inputs, floats, values, options.step ?? 1e-5, 'gradient')
  if (!options.second) return
  const twice = gradients.map((g, i) => sum(mul(g, weights(g.shape, i + 7)))).reduce((a, b) => a.add(b))
  compareDifferences(twice, grad(twice, floats), inputs, floats, values, options.step ?? 1e-5, 'second derivative')
}

function weights(shape: Shape, seed: number): Tensor {
  const next = randomNumbers(seed + 11)
  return tensor(
    Float32Array.from({ length: sizeOf(shape) }, () => next() * 2 - 1),
    shape,
  )
}

async function compareWorlds(
  inputs: Tensor[],
  outputs: readonly Tensor[],
  values: readonly HostTensor[],
  tolerance: number,
  what: string,
): Promise<void> {
  const program = await Program.compile(inputs, outputs)
  const actual = await program.run(values)
  await program.release()
  const reference = interpret(outputs, new Map(inputs.map((input, i) => [input, values[i].data])))
  outputs.forEach((output, i) => {
    expect(actual[i].shape, `${what} ${i}: shape`).toEqual([...output.shape])
    expectClose(
      actual[i].numbers(),
      reference[i].data,
      output.dtype === 'f32' ? tolerance : 0,
      `${what} ${i} of ${output}`,
    )
  })
}

function compareDifferences(
  loss: Tensor,
  gradients: readonly Tensor[],
  inputs: Tensor[],
  floats: Tensor[],
  values: readonly HostTensor[],
  step: number,
  what: string,
): void {
  const bound = new Map<Tensor, Float64Array>(inputs.map((input, i) => [input, values[i].numbers()]))
  const exact = interpret(gradients, bound)
  const at = (): number => interpret([loss], bound)[0].data[0]
  floats.forEach((input, k) => {
    const data = bound.get(input)!
    const pick = randomNumbers(k + 3)
    const entries =
      data.length <= 20 ? [...data.keys()] : Array.from({ length: 20 }, () => Math.floor(pick() * data.length))
    const numeric = entries.map(i => {
      const kept = data[i]
      data[i] = kept + step
      const above = at()
      data[i] = kept - step
      const below = at()
      data[i] = kept
      return (above - below) / (2 * step)
    })
    expectClose(
      entries.map(i => exact[k].data[i]),
      numeric,
      1e-5,
      `${what} of input ${k} against differences`,
    )
  })
}

export const integers = (values: readonly number[], shape: Shape = [values.length], dtype: DType = 'i64'): HostTensor =>
  hostTensor(values, shape, dtype)
