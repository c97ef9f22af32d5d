import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import {
  compile,
  type HostTensor,
  hostTensor,
  interpret,
  key,
  matmul,
  softmax,
  type Tensor,
  tensor,
} from '../core/index.ts'
import { causalMask, MultiheadAttention, prepend, scaledDotProductAttention } from './attention.ts'
import { withSeed } from './initialise.ts'
import { withMode } from './mode.ts'
import { withValues } from './module.ts'

const asTensor = (value: HostTensor): Tensor => tensor(value.data, value.shape)
const numbers = (t: Tensor): Float64Array => interpret([t])[0].data
const attend = scaledDotProductAttention
const random = (shape: number[], seed: number): Tensor => asTensor(randomTensor(shape, seed))

/** The matrix that puts row order[i] at place i. */
function permutation(order: readonly number[]): Tensor {
  return tensor(order.map(from => order.map((_, column) => Number(column === from))))
}

const problem = fc
  .record({ queries: fc.integer({ min: 1, max: 4 }), keys: fc.integer({ min: 1, max: 5 }), seed: fc.nat(1000) })
  .chain(sizes =>
    fc.record({
      sizes: fc.constant(sizes),
      queryOrder: fc.shuffledSubarray([...Array(sizes.queries).keys()], { minLength: sizes.queries }),
      keyOrder: fc.shuffledSubarray([...Array(sizes.keys).keys()], { minLength: sizes.keys }),
    }),
  )

describe('scaledDotProductAttention', () => {
  it('moves its outputs with the queries and does not see the order of the keys', () => {
    fc.assert(
      fc.property(problem, ({ sizes: { queries, keys, seed }, queryOrder, keyOrder }) => {
        const [q, k, v] = [random([queries, 3], seed), random([keys, 3], seed + 1), random([keys, 2], seed + 2)]
        const permuted = attend(
          matmul(permutation(queryOrder), q),
          matmul(permutation(keyOrder), k),
          matmul(permutation(keyOrder), v),
        ).output
        expectClose(
          numbers(permuted),
          numbers(matmul(permutation(queryOrder), attend(q, k, v).output)),
          1e-12,
          'permuted attention',
        )
      }),
      { numRuns: 20 },
    )
  })
  it('computes what its formula says, and so do its gradients', async () => {
    await check(
      (q, k, v, bias) => attend(q, k, v, { bias, scale: 0.3 }).output,
      [randomTensor([2, 3, 4], 1), randomTensor([2, 5, 4], 2), randomTensor([2, 5, 2], 3), randomTensor([3, 5], 4)],
      { second: true },
    )
    const [q, k, v] = [random([3, 4], 1), random([5, 4], 2), random([5, 2], 3)]
    const weights = softmax(matmul(q, k, { transposeB: true }).div(2))
    expectClose(numbers(attend(q, k, v).output), numbers(matmul(weights, v)), 1e-12, 'attention')
  })
  it('gives outputs that later inputs cannot change when it is causal', () => {
    const [q, k, v] = [random([4, 3], 1), random([4, 3], 2), random([4, 2], 3)]
    const before = numbers(attend(q, k, v, { causal: true }).output)
    for (let t = 0; t < 3; t++) {
      const later = tensor([0, 1, 2, 3].map(i => [Number(i > t) * 5]))
      const after = numbers(attend(q, k.add(later), v.sub(later), { causal: true }).output)
      expect([...after.slice(0, 2 * (t + 1))]).toEqual([...before.slice(0, 2 * (t + 1))])
      expect([...after.slice(2 * (t + 1))]).not.toEqual([...before.slice(2 * (t + 1))])
    }
  })
  it('gives zeros, and gradients that are numbers, to a query that may see nothing', async () => {
    const blocked = tensor([
      [true, true, true],
      [false, true, false],
    ])
    const [q, k, v] = [randomTensor([2, 3], 1), randomTensor([3, 3], 2), randomTensor([3, 2], 3)]
    expect([...numbers(attend(asTensor(q), asTensor(k), asTensor(v), { blocked }).output).slice(0, 2)]).toEqual([0, 0])
    await check((...inputs) => attend(inputs[0], inputs[1], inputs[2], { blocked }).output, [q, k, v])
  })
  it('blocks what both masks block', () => {
    const blocked = tensor([true, false, false])
    const { weights } = attend(random([3, 2], 1), random([3, 2], 2), random([3, 2], 3), { blocked, causal: true })
    expect(Array.from(numbers(weights), w => w === 0)).toEqual([
      ...[true, true, true],
      ...[true, false, true],
      ...[true, false, false],
    ])
  })
  it('refuses what does not fit, naming the shapes', () => {
    const t = (...shape: number[]): Tensor => random(shape, 1)
    expect(() => attend(t(2, 3), t(4, 5), t(4, 5))).toThrow(
      'attention: queries and keys must be of one width: query [2,3], key [4,5], value [4,5]',
    )
    expect(() => attend(t(2, 3), t(4, 3), t(5, 3))).toThrow('attention: there must be as many values as keys')
    expect(() => attend(t(2, 3), t(4, 3), t(4, 3), { blocked: causalMask(4, 4) })).toThrow(
      'attention: blocked [4,4] does not fit the scores [2,4]',
    )
    expect(() => attend(t(2, 3), t(4, 3), t(4, 3), { bias: t(3, 1, 1) })).toThrow(
      'attention: bias [3,1,1] does not fit the scores [2,4]',
    )
  })
})

describe('MultiheadAttention', () => {
  const module = withSeed(1, () => new MultiheadAttention(8, 2))
  const x = random([3, 4, 8], 5)

  it('treats whole-number masks like bool ones, for all heads or one each', () => {
    const blocked = [0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0]
    const output = (mask: Tensor): number[] => [...numbers(module.forward(x, x, x, { mask }).output)]
    const asBool = output(tensor(Uint8Array.from(blocked), [4, 4], 'bool'))
    const eachHead = Array.from({ length: 6 }, () => blocked).flat()
    expect(output(tensor(Int32Array.from(blocked), [4, 4]))).toEqual(asBool)
    expect(output(tensor(Int32Array.from(eachHead), [6, 4, 4]))).toEqual(asBool)
  })
  it('does not see padding', () => {
    const padding = tensor([
      [false, false, true, false],
      [false, false, false, false],
      [true, false, false, true],
    ])
    const noise = padding.cast('f32').expandDims(-1).mul(7)
    const output = (keys: Tensor): Float64Array =>
      numbers(module.forward(x, keys, keys, { keyPadding: padding }).output)
    expectClose(output(x.add(noise)), output(x), 1e-12, 'output with other padding')
  })
  it('is causal when asked', () => {
    const changed = x.add(tensor([0, 0, 0, 1]).expandDims([0, 2]))
    const output = (t: Tensor): Tensor => module.forward(t, t, t, { causal: true }).output
    const difference = numbers(output(changed).sub(output(x)).abs().max([0, 2]))
    expect(difference.slice(0, 3)).toEqual(new Float64Array(3))
    expect(difference[3]).toBeGreaterThan(0)
  })
  it('projects itself in one product and others apart, with the same result', () => {
    const copy = x.mul(1)
    expectClose(
      numbers(module.forward(x, copy, copy).output),
      numbers(module.forward(x).output),
      1e-12,
      'self attention',
    )
  })
  it('gives gradients to expressions in the place of its parameters', async () => {
    const host = randomTensor([8, 8], 9, -0.5, 0.5)
    await check(
      (weight, t) =>
        withValues(module, { 'out_proj.weight': weight.tanh() }, () => module.forward(t.reshape([1, 2, 8])).output),
      [host, randomTensor([2, 8], 4)],
    )
  })
  it('drops attention weights while training, keeping their mean', async () => {
    const dropping = withSeed(1, () => new MultiheadAttention(8, 2, { dropout: 0.25 }))
    const tokens = random([400, 4, 8], 3)
    const compare = compile((seed: Tensor) => {
      const plain = dropping.forward(tokens).output
      const dropped = withMode({ training: true, key: seed }, () => dropping.forward(tokens).output)
      return { change: dropped.sub(plain).abs().mean(), bias: dropped.sub(plain).mean([0, 1]).abs().max() }
    })
    const first = await compare(Int32Array.of(1, 2))
    expect(first.change.item()).toBeGreaterThan(0.02)
    expect(first.bias.item()).toBeLessThan(0.02)
    expect((await compare(Int32Array.of(1, 2))).change.item()).toBe(first.change.item())
    expect((await compare(Int32Array.of(1, 3))).change.item()).not.toBe(first.change.item())
    await compare.release()
  })
  it('takes gradients through the dropout it drew', async () => {
    const dropping = withSeed(1, () => new MultiheadAttention(4, 2, { dropout: 0.5 }))
    await check(
      t => withMode({ training: true, key: key(3) }, () => dropping.forward(t).output),
      [randomTensor([2, 3, 4], 2)],
    )
  })
  it('refuses heads that do not divide the width, and shapes that do not fit', () => {
    expect(() => new MultiheadAttention(10, 3)).toThrow('attention: 3 heads do not divide the width 10')
    expect(() => module.forward(random([4, 8], 1))).toThrow(
      'attention: expected [batch, tokens, width] with widths 8,8,8, got query, key and value [4,8], [4,8], [4,8]',
    )
    expect(() => module.forward(x, random([2, 4, 8], 1))).toThrow('[3,4,8], [2,4,8], [2,4,8]')
    expect(() => module.forward(x, x, x, { keyPadding: tensor([[true, false]]) })).toThrow(
      'attention: keyPadding is [1,2], expected [3,4]',
    )
    expect(() => module.forward(x, x, x, { mask: causalMask(3, 4) })).toThrow(
      'attention: mask is [3,4], expected [4,4] or [6,4,4]',
    )
  })
})

describe('prepend', () => {
  it('puts one token before every sequence', () => {
    const token = hostTensor([7, 8], [1, 1, 2])
    const out = prepend(asTensor(token), random([2, 1, 2], 1))
    expect(out.shape).toEqual([2, 2, 2])
    expect([...numbers(out.at(null, 0))]).toEqual([7, 8, 7, 8])
  })
})
