import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { evaluate, grad, placeholder, simplify, type Tensor, tensor, topologicalOrder, zeros } from '../core/index.ts'
import { selectiveScan, selectiveStep } from './selective-scan.ts'

const random = (shape: readonly number[], seed: number, low = -1, high = 1): Tensor =>
  tensor(randomTensor(shape, seed, low, high).data, shape)

/** The recurrence by plain loops: u and delta [batch, channels, length], B and C [batch, groups, states, length]. */
function reference(
  [u, delta, A, B, C, D]: readonly ArrayLike<number>[],
  [batch, channels, length, states, groups]: readonly number[],
): number[] {
  const y = new Array<number>(batch * channels * length)
  for (let b = 0; b < batch; b++)
    for (let e = 0; e < channels; e++) {
      const group = b * groups + Math.floor(e / (channels / groups))
      const state = new Float64Array(states)
      for (let t = 0; t < length; t++) {
        const i = (b * channels + e) * length + t
        let read = D[e] * u[i]
        for (let n = 0; n < states; n++) {
          const j = (group * states + n) * length + t
          state[n] = Math.exp(delta[i] * A[e * states + n]) * state[n] + delta[i] * B[j] * u[i]
          read += C[j] * state[n]
        }
        y[i] = read
      }
    }
  return y
}

/** Everything that a backward pass keeps from the forward pass: the results of loops. */
function keptElements(length: number): number {
  const [batch, channels, states] = [1, 8, 4]
  const inputs = [
    placeholder('u', [batch, channels, length]),
    placeholder('delta', [batch, channels, length]),
    placeholder('A', [channels, states]),
    placeholder('B', [batch, states, length]),
    placeholder('C', [batch, states, length]),
  ] as const
  const { output } = selectiveScan(...inputs, { softplus: true })
  const nodes = topologicalOrder(simplify([output, ...grad(output.sum(), [...inputs])]))
  return nodes.flatMap(({ outputs }) => outputs).reduce((total, { size }) => total + size, 0)
}

describe('selectiveScan', () => {
  it('is the recurrence, with B and C of each group', async () => {
    const sizes = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      groups: fc.integer({ min: 1, max: 3 }),
      perGroup: fc.integer({ min: 1, max: 3 }),
      length: fc.integer({ min: 1, max: 7 }),
      states: fc.integer({ min: 1, max: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(1000), async ({ batch, groups, perGroup, length, states }, seed) => {
        const channels = groups * perGroup
        const values = [
          randomTensor([batch, channels, length], seed),
          randomTensor([batch, channels, length], seed + 1, 0, 1),
          randomTensor([channels, states], seed + 2, -2, 0),
          randomTensor([batch, groups, states, length], seed + 3),
          randomTensor([batch, groups, states, length], seed + 4),
          randomTensor([channels], seed + 5),
        ]
        const [u, delta, A, B, C, D] = values.map(({ data, shape }) => tensor(data, shape))
        const { output } = selectiveScan(u, delta, A, B, C, { D })
        const expected = reference(
          values.map(value => value.numbers()),
          [batch, channels, length, states, groups],
        )
        expectClose((await output.value()).numbers(), expected, 1e-5, 'output')
      }),
      { numRuns: 8 },
    )
  })
  it('has gradients for every argument, in every form of B and C', async () => {
    const [u, delta, A] = [
      [2, 4, 3],
      [2, 4, 3],
      [4, 2],
    ].map((shape, i) => randomTensor(shape, i + 1, -1, 0.5))
    for (const form of [
      [2, 2, 3],
      [2, 2, 2, 3],
      [4, 2],
    ])
      await check(
        (...[a, b, c, into, outOf, D, z, bias, initial]) =>
          selectiveScan(a, b, c, into, outOf, { D, z, deltaBias: bias, initial, softplus: true }).output,
        [
          u,
          delta,
          A,
          randomTensor(form, 4, -1, 1),
          randomTensor(form, 5, -1, 1),
          randomTensor([4], 6),
          randomTensor([2, 4, 3], 7),
          randomTensor([4], 8),
          randomTensor([2, 4, 2], 9),
        ],
        { tolerance: 1e-4 },
      )
  })
  it('over a whole sequence equals as many single steps', async () => {
    const [u, delta, z] = [1, 2, 3].map(seed => random([2, 6, 5], seed))
    const [A, D, deltaBias] = [random([6, 3], 4, -2, 0), random([6], 5), random([6], 6)]
    const [B, C] = [7, 8].map(seed => random([2, 2, 3, 5], seed))
    const whole = selectiveScan(u, delta, A, B, C, { D, z, deltaBias, softplus: true })
    let state = zeros([2, 6, 3])
    const steps: Tensor[] = []
    for (let t = 0; t < 5; t++) {
      const now = (x: Tensor): Tensor => x.slice(-1, t, t + 1).squeeze(-1)
      const step = selectiveStep(state, now(u), now(delta), A, now(B), now(C), {
        D,
        z: now(z),
        deltaBias,
        softplus: true,
      })
      steps.push(step.output)
      state = step.state
    }
    const [output, lastState, last, ...outputs] = await evaluate([whole.output, whole.lastState, state, ...steps])
    expectClose(last.numbers(), lastState.numbers(), 1e-6, 'state')
    outputs.forEach((step, t) => {
      const expected = output.numbers().filter((_, i) => i % 5 === t)
      expectClose(step.numbers(), expected, 1e-6, `step ${t}`)
    })
  })
  it('is causal: another token leaves everything before it bit-identical', async () => {
    const u = randomTensor([1, 4, 6], 1)
    const other = u.data.slice() as Float32Array
    for (let e = 0; e < 4; e++) other[e * 6 + 3] += 1
    const run = async (data: Float32Array): Promise<ArrayLike<number>> => {
      const args = [random([1, 4, 6], 2), random([4, 2], 3, -1, 0), random([1, 2, 6], 4), random([1, 2, 6], 5)] as const
      return (await selectiveScan(tensor(data, [1, 4, 6]), ...args, { softplus: true }).output.value()).numbers()
    }
    const [before, after] = [await run(u.data as Float32Array), await run(other)]
    for (let i = 0; i < 24; i++) expect(before[i] === after[i], `token ${i % 6}`).toBe(i % 6 < 3)
  })
  it('with steps of size 0 passes D u and nothing else', async () => {
    const u = random([2, 3, 4], 1)
    const D = random([3], 2)
    const { output } = selectiveScan(
      u,
      zeros([2, 3, 4]),
      random([3, 2], 3),
      random([2, 2, 4], 4),
      random([2, 2, 4], 5),
      {
        D,
      },
    )
    const [actual, expected] = await evaluate([output, u.mul(D.reshape([3, 1]))])
    expect(actual.toArray()).toEqual(expected.toArray())
  })
  it('stays finite where products of decays would overflow or vanish', async () => {
    const long = [1, 2, 400]
    const { output } = selectiveScan(
      random(long, 1),
      tensor(new Float32Array(800).fill(5), long),
      tensor(new Float32Array(4).fill(-20), [2, 2]),
      random([1, 2, 400], 2),
      random([1, 2, 400], 3),
    )
    expect((await output.value()).numbers().every(Number.isFinite)).toBe(true)
  })
  it('trains in memory that grows linearly with the length', () => {
    const ratio = keptElements(1024) / keptElements(256)
    expect(ratio).toBeGreaterThan(3.8)
    expect(ratio).toBeLessThan(4.2)
  })
  it('takes a symbolic batch', async () => {
    const u = placeholder('u', [-1, 2, 3])
    const { output } = selectiveScan(u, u, random([2, 2], 1), u, u, { softplus: true })
    expect(output.shape).toEqual([-1, 2, 3])
  })
  it('names the argument that does not fit', () => {
    const u = zeros([2, 4, 3])
    const [A, B] = [zeros([4, 2]), zeros([2, 2, 3])]
    expect(() => selectiveScan(zeros([4, 3]), u, A, B, B)).toThrow('expected u [batch, channels, length], got [4,3]')
    expect(() => selectiveScan(u, zeros([2, 4, 5]), A, B, B)).toThrow('delta is [5,2,4], expected [3,2,4]')
    expect(() => selectiveScan(u, u, zeros([3, 2]), B, B)).toThrow('A is [3,2], expected [4,2]')
    expect(() => selectiveScan(u, u, A, zeros([2, 7, 3]), B)).toThrow('B is [3,2,7], expected [3,2,2]')
    expect(() => selectiveScan(u, u, A, B, B, { D: zeros([3]) })).toThrow('D is [3], expected [4]')
    expect(() => selectiveScan(u, u, A, zeros([2, 3, 2, 3]), B)).toThrow('4 channels do not fall into 3 equal groups')
  })
})

describe('selectiveStep', () => {
  it('takes B and C that do not depend on the input', async () => {
    const { output, state } = selectiveStep(
      tensor([[[1, 2]]]),
      tensor([[3]]),
      tensor([[0.5]]),
      tensor([[0, 0]]),
      tensor([[1, 2]]),
      tensor([[1, 1]]),
    )
    const [y, s] = await evaluate([output, state])
    expect([y.toArray(), s.toArray()]).toEqual([[[7.5]], [[[2.5, 5]]]])
  })
})
