import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../test/check.ts'
import { evaluate, flip, grad, type Tensor, tensor } from '../core/index.ts'
import { withSeed } from './initialise.ts'
import { BiMambaMixer, CausalDepthwiseConv1d, MambaMixer } from './mamba.ts'
import { namedParameters, namedVariables, parametersOf } from './module.ts'

const random = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed, -1, 1).data, shape)

describe('CausalDepthwiseConv1d', () => {
  it('filters each channel by its last values only', async () => {
    const conv = new CausalDepthwiseConv1d(2, 3)
    conv.weight.set(new Float32Array([1, 10, 100, 0, 0, 1]))
    conv.bias?.set(new Float32Array([0.5, 0]))
    const y = await conv.forward(tensor([[[1, 2, 3], [4, 5, 6]]])).value() // biome-ignore format: a small matrix
    expect(y.toArray()).toEqual([
      [
        [100.5, 210.5, 321.5],
        [4, 5, 6],
      ],
    ])
  })
})

describe('MambaMixer', () => {
  it('over a whole sequence equals as many single steps', async () => {
    const mixer = withSeed(1, () => new MambaMixer(6, { states: 4, bias: true, layerScale: 0.5 }))
    const x = random([2, 5, 6], 1)
    let state = mixer.start(2)
    const outputs: Tensor[] = []
    for (let t = 0; t < 5; t++) {
      const step = mixer.step(x.at(null, t), state)
      outputs.push(step.output)
      state = step.state
    }
    const [whole, ...steps] = await evaluate([mixer.forward(x), ...outputs])
    steps.forEach((step, t) => {
      const expected = [0, 1].flatMap(b => [...whole.numbers().slice((b * 5 + t) * 6, (b * 5 + t + 1) * 6)])
      expectClose(step.numbers(), expected, 1e-5, `step ${t}`)
    })
  })
  it('gives every parameter a gradient', async () => {
    const mixer = withSeed(2, () => new MambaMixer(4, { states: 2 }))
    const y = mixer.forward(random([1, 6, 4], 3))
    for (const gradient of await evaluate(grad(y.mul(y).sum(), parametersOf(mixer))))
      expect(gradient.numbers().some(value => value !== 0)).toBe(true)
  })
  it('starts with A = -1, …, -N and step sizes between 0.001 and 0.1', async () => {
    const mixer = new MambaMixer(8, { states: 3 })
    expectClose(
      [...mixer.A_log.data.slice(0, 3)].map(value => Math.exp(Number(value))),
      [1, 2, 3],
      1e-6,
      'A',
    )
    for (const bias of mixer.dt_proj.bias!.data) {
      const step = Math.log1p(Math.exp(Number(bias)))
      expect(step).toBeGreaterThan(0.99e-3)
      expect(step).toBeLessThan(0.101)
    }
  })
  it('refuses widths that do not multiply to whole channels, and other widths than its own', () => {
    expect(() => new MambaMixer(5, { expand: 1.5 })).toThrow('expand 1.5 times width 5 is 7.5')
    expect(() => new MambaMixer(4).forward(random([1, 2, 3], 1))).toThrow('expected [batch, length, 4], got [1,2,3]')
  })
})

/** Gives the second direction the parameters of the first. */
function tie(mixer: BiMambaMixer): BiMambaMixer {
  const named = new Map(namedVariables(mixer))
  for (const [path, variable] of named) {
    const twin = named.get(
      path
        .replace(/^A_b_log/, 'A_log')
        .replace('_b.', '.')
        .replace(/_b$/, ''),
    )
    if (twin && twin !== variable) variable.set(twin.data.slice())
  }
  return mixer
}

describe('BiMambaMixer', () => {
  it('with branches that are equal commutes with reversal', async () => {
    const mixer = tie(withSeed(3, () => new BiMambaMixer(6, { states: 3 })))
    const x = random([2, 7, 6], 4)
    const [a, b] = await evaluate([mixer.forward(flip(x, 1)), flip(mixer.forward(x), 1)])
    expectClose(a.numbers(), b.numbers(), 1e-5, 'reversed')
  })
  it('with shared branches has one convolution and one selection, and sums', async () => {
    const mixer = withSeed(3, () => new BiMambaMixer(6, { states: 3, branches: 'shared' }))
    const own = [...namedParameters(mixer).keys()].filter(path => path.includes('_b'))
    expect(own).toEqual(['A_b_log'])
    const x = random([1, 1, 6], 4)
    // Of one token both directions see the same, so their sum is twice the one-way mixer.
    const one = new MambaMixer(6, { states: 3 })
    for (const [path, variable] of namedParameters(one)) variable.set(namedParameters(mixer).get(path)!.data.slice())
    const [a, b] = await evaluate([mixer.forward(x), one.forward(x).mul(2)])
    expectClose(a.numbers(), b.numbers(), 1e-5, 'sum')
  })
  it('is the mean of a forward mixer and of a reversed one', async () => {
    const both = withSeed(5, () => new BiMambaMixer(4, { states: 2 }))
    const one = (suffix: string): MambaMixer => {
      const mixer = new MambaMixer(4, { states: 2 })
      const from = namedParameters(both)
      for (const [path, variable] of namedParameters(mixer)) {
        const own = path.replace(/^(conv1d|x_proj|dt_proj)\./, `$1${suffix}.`).replace(/^D$/, `D${suffix}`)
        variable.set(from.get(own.replace(/^A_log$/, `A${suffix}_log`))!.data.slice())
      }
      return mixer
    }
    const x = random([1, 5, 4], 6)
    const mean = one('')
      .forward(x)
      .add(flip(one('_b').forward(flip(x, 1)), 1))
      .mul(0.5)
    const [a, b] = await evaluate([both.forward(x), mean])
    expectClose(a.numbers(), b.numbers(), 1e-5, 'mean')
  })
  it('cannot be asked for single steps', () => {
    expect(() => new BiMambaMixer(4).step()).toThrow('cannot take tokens one by one')
  })
})
