import { describe, expect, it } from 'vitest'
import { compile, type Tensor, tensor, Variable } from '../core/index.ts'
import {
  adam,
  adamW,
  clipByGlobalNorm,
  cosine,
  ExponentialMovingAverage,
  lamb,
  lars,
  Optimizer,
  oneCycle,
  type UpdateRule,
} from './index.ts'

/** Applies one step with a fixed gradient and returns the change of the weights. */
async function change(rule: UpdateRule, weights: number[][], gradient: number[][], rate = 0.1): Promise<number[]> {
  const w = new Variable(Float32Array.from(weights.flat()), [weights.length, weights[0].length], 'f32', 'w')
  const before = (w.data as Float32Array).slice()
  const optimizer = new Optimizer([{ parameters: [w], rule, learningRate: rate }])
  const step = compile(() => optimizer.apply([tensor(gradient)]))
  await step()
  return Array.from(w.data as Float32Array, (value, i) => value - before[i])
}

const weights = [
  [1, -2],
  [0.5, 3],
]
const gradient = [
  [0.3, -0.1],
  [0.02, 0.7],
]
const scaled = gradient.map(row => row.map(g => g * 1000))

describe('update rules', () => {
  it('the first step of Adam has the size of the learning rate in every entry', async () => {
    for (const delta of await change(adam(), weights, gradient)) expect(Math.abs(delta)).toBeCloseTo(0.1, 4)
  })
  it.each([
    ['lamb', lamb({ epsilon: 1e-12 })],
    ['lars', lars()],
  ])('%s does not care how large gradients are', async (_, rule) => {
    const a = await change(rule, weights, gradient)
    const b = await change(rule, weights, scaled)
    a.forEach((value, i) => {
      expect(b[i]).toBeCloseTo(value, 5)
    })
  })
  it('decoupled decay shrinks weights where the gradient is zero', async () => {
    const delta = await change(adamW({ weightDecay: 0.5 }), weights, [
      [0, 0],
      [0, 0],
    ])
    delta.forEach((value, i) => {
      expect(value).toBeCloseTo(-0.05 * weights.flat()[i], 5)
    })
  })
  it('an average with decay 0 copies the parameter', async () => {
    const w = new Variable(new Float32Array([1, 2]), [2], 'f32', 'w')
    const ema = new ExponentialMovingAverage([w], 0)
    await compile((x: Tensor) => {
      w.assign(x)
      ema.update()
      return x
    })([5, 6])
    expect([...ema.averages().values()][0].data).toEqual(new Float32Array([5, 6]))
  })
  it('groups keep their own rules and rates', async () => {
    const [a, b] = [1, 2].map(v => new Variable(new Float32Array([v]), [1], 'f32', `p${v}`))
    const optimizer = new Optimizer([
      { parameters: [a], rule: adam(), learningRate: 0.5 },
      { parameters: [b], rule: adam(), learningRate: 0 },
    ])
    await compile(() => optimizer.apply([tensor([1]), tensor([1])]))()
    expect(a.data[0]).toBeCloseTo(0.5, 4)
    expect(b.data[0]).toBe(2)
  })
  it('refuses a parameter in two groups, and gradients that do not match', () => {
    const w = new Variable(new Float32Array([1]), [1], 'f32', 'w')
    const group = { parameters: [w], rule: adam(), learningRate: 1 }
    expect(() => new Optimizer([group, group])).toThrow('optimizer: a parameter stands in two groups')
    expect(() => new Optimizer([group]).apply([])).toThrow('optimizer: 0 gradients for 1 parameters')
  })
})

describe('gradients and schedules', () => {
  it('clips by the global norm only when it is larger', async () => {
    const { gradients, norm } = clipByGlobalNorm([tensor([3]), tensor([4])], 1)
    expect((await norm.value()).item()).toBeCloseTo(5, 5)
    expect((await gradients[1].value()).item()).toBeCloseTo(0.8, 4)
    expect((await clipByGlobalNorm([tensor([0.3])], 1).gradients[0].value()).item()).toBeCloseTo(0.3, 6)
  })
  it('cosine rises over the warm-up, peaks at its end and finishes at the floor', async () => {
    const at = compile((t: Tensor) => cosine({ base: 1, total: 100, warmup: 10, min: 0.1 })(t))
    const rates = await Promise.all([0, 9, 10, 55, 100, 500].map(async t => (await at(t)).item()))
    ;[0.1, 1, 1, 0.55, 0.1, 0.1].forEach((expected, i) => {
      expect(rates[i]).toBeCloseTo(expected, 5)
    })
    expect(() => cosine({ base: 1, total: 5, warmup: 5 })).toThrow('cosine: total (5) must be larger than warmup (5)')
  })
  it('one cycle starts at peak/divide, peaks, and ends near nothing', async () => {
    const at = compile((t: Tensor) => oneCycle({ peak: 1, total: 20, rise: 0.3 })(t))
    expect((await at(0)).item()).toBeCloseTo(0.04, 6)
    expect((await at(5)).item()).toBeCloseTo(1, 6)
    expect((await at(19)).item()).toBeLessThan(1e-5)
  })
})
