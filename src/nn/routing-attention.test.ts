import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../test/check.ts'
import { evaluate, gather, grad, type HostTensor, type Tensor, tensor } from '../core/index.ts'
import { scaledDotProductAttention } from './attention.ts'
import { DepthwiseConv } from './depthwise.ts'
import { withSeed } from './initialise.ts'
import { regionMerge, regionPartition } from './regions.ts'
import {
  BiLevelRoutingAttention,
  type BiLevelRoutingOptions,
  GridAttention,
  routedAttention,
  TopKRouter,
} from './routing-attention.ts'

const random = (shape: number[], seed = 1): Tensor => tensor(randomTensor(shape, seed, -1, 1).data, shape)
const near = (actual: HostTensor, expected: HostTensor, tolerance: number): void =>
  expectClose(actual.numbers(), expected.numbers(), tolerance, 'values')
const attention = (dim: number, options: BiLevelRoutingOptions, seed = 3): BiLevelRoutingAttention =>
  withSeed(seed, () => new BiLevelRoutingAttention(dim, options))

describe('TopKRouter', () => {
  it('chooses the regions of largest affinity, and of equal ones the first', async () => {
    const q = tensor([1, 0, 0, 1], [1, 2, 2])
    const k = tensor([1, 0, 5, 0, 5, 3], [1, 3, 2])
    const { indices, affinity, weights } = new TopKRouter(2, 2, { scale: 1 }).forward(q, k)
    const [chosen, all, soft] = await evaluate([indices, affinity, weights])
    expect([...all.numbers()]).toEqual([1, 5, 5, 0, 0, 3])
    expect([...chosen.numbers()]).toEqual([1, 2, 2, 0])
    expect([...soft.numbers()].slice(0, 2)).toEqual([0.5, 0.5])
  })
  it('has no gradient unless it is asked for', async () => {
    const [q, k] = [random([1, 4, 3], 1), random([1, 4, 3], 2)]
    const slope = (differentiable: boolean): Tensor => {
      const { weights } = new TopKRouter(3, 2, { differentiable }).forward(q, k)
      return grad(weights.mul(random([1, 4, 2], 5)).sum(), [q])[0]
    }
    const [hard, soft] = await evaluate([slope(false), slope(true)])
    expect([...hard.numbers()].every(value => value === 0)).toBe(true)
    expect([...soft.numbers()].some(value => value !== 0)).toBe(true)
  })
  it('says when there are too few regions', () => {
    expect(() => new TopKRouter(2, 5).forward(random([1, 4, 2]), random([1, 4, 2]))).toThrow(
      'each region is to see 5 regions, but there are only 4',
    )
    expect(() => new TopKRouter(2, 0)).toThrow('k must be a whole number from 1')
  })
})

describe('routedAttention', () => {
  it('is attention over the tokens of the chosen regions', async () => {
    const [q, k, v] = [1, 2, 3].map(seed => random([2, 3, 4, 6], seed))
    const indices = tensor(Int32Array.from([2, 0, 1, 2, 0, 1, 1, 0, 2, 1, 0, 2]), [2, 3, 2])
    const { output } = routedAttention(q, k, v, indices, { heads: 2 })
    const chosen = (t: Tensor): Tensor =>
      gather(t, indices, 1, { batchDims: 1 }).rearrange('b r k t (m d) -> b r m (k t) d', { m: 2 })
    const expected = scaledDotProductAttention(q.rearrange('b r t (m d) -> b r m t d', { m: 2 }), chosen(k), chosen(v))
    const [a, b] = await evaluate([output, expected.output.rearrange('b r m t d -> b r t (m d)')])
    near(a, b, 1e-6)
  })
  it('says when heads do not divide a width', () => {
    const x = random([1, 1, 2, 6])
    const indices = tensor(Int32Array.from([0]), [1, 1, 1])
    expect(() => routedAttention(x, x, x, indices, { heads: 4 })).toThrow('4 heads do not divide the width 6')
  })
})

describe('BiLevelRoutingAttention', () => {
  const plain = { heads: 2, regions: 2, lepe: 0 }
  const map = random([1, 4, 6, 8], 9)

  it('is full attention when every region sees every region', async () => {
    const routed = attention(8, { ...plain, topK: 4 })
    const [q, k, v] = routed.qkv.forward(map).map(t => t.rearrange('b h w (m d) -> b m (h w) d', { m: 2 }))
    const full = scaledDotProductAttention(q, k, v, { scale: 8 ** -0.5 }).output
    const expected = routed.wo!.forward(full.rearrange('b m (h w) d -> b h w (m d)', { h: 4 }))
    const [a, b] = await evaluate([routed.forward(map), expected])
    near(a, b, 1e-5)
  })
  it('moves its output with whole regions that change places', async () => {
    const routed = attention(8, { ...plain, topK: 2 })
    const order = tensor(Int32Array.from([2, 0, 3, 1]), [4])
    const permute = (x: Tensor): Tensor => regionMerge(gather(regionPartition(x, [2, 2]), order, 1), [2, 2], [4, 6])
    const [a, b] = await evaluate([routed.forward(permute(map)), permute(routed.forward(map))])
    near(a, b, 1e-5)
  })
  it('does not see a small change of a region that was not chosen', async () => {
    const routed = attention(8, { ...plain, topK: 1 })
    const change = tensor(
      Float32Array.from({ length: 4 * 6 * 8 }, (_, i) =>
        Math.floor(i / 48) < 2 && Math.floor(i / 8) % 6 < 3 ? 1e-3 * Math.sin(i) : 0,
      ),
      [1, 4, 6, 8],
    )
    const changed = map.add(change)
    const others = (x: Tensor): Tensor => regionPartition(routed.forward(x), [2, 2]).slice(1, 1)
    const [seen, same, before, after] = await evaluate([
      routed.attend(map).routing.indices,
      routed.attend(changed).routing.indices,
      others(map),
      others(changed),
    ])
    expect([...seen.numbers()]).not.toContain(0)
    expect([...same.numbers()]).toEqual([...seen.numbers()])
    near(after, before, 1e-7)
  })
  it('adds a depthwise convolution of the values', async () => {
    const routed = attention(8, { ...plain, lepe: 5, topK: 2 })
    const value = routed.qkv.forward(map)[2]
    const without = attention(8, { ...plain, topK: 2 })
    for (const part of ['qkv', 'wo'] as const) {
      const [from, to] = part === 'qkv' ? [routed.qkv.qkv, without.qkv.qkv] : [routed.wo!, without.wo!]
      to.weight.set(from.weight.data)
      to.bias!.set(from.bias!.data)
    }
    const added = routed.forward(map).sub(without.forward(map))
    const [a, b] = await evaluate([
      added,
      routed.wo!.forward(routed.lepe!.forward(value)).sub(routed.wo!.forward(value.mul(0))),
    ])
    near(a, b, 1e-5)
  })
  it('pads a map that does not divide, and crops what it added', () => {
    const ragged = random([1, 5, 7, 8])
    expect(() => attention(8, { ...plain, topK: 2 }).forward(ragged)).toThrow('do not divide into 2x2 regions')
    expect(attention(8, { ...plain, topK: 2, padding: true }).forward(ragged).shape).toEqual([1, 5, 7, 8])
  })
  it.each([
    ['averages to a number of rows', { kind: 'adaptiveAverage', side: 1 } as const, 2],
    ['maxima to a number of rows', { kind: 'adaptiveMax', side: 1 } as const, 2],
    ['maxima by a ratio', { kind: 'max', ratio: 2 } as const, 2],
    ['averages by a ratio', { kind: 'average', ratio: 2 } as const, 2],
    ['a ratio of one', { kind: 'average', ratio: 1 } as const, 12],
  ])('gathers fewer keys: %s', (_, pooling, keys) => {
    const routed = attention(8, { ...plain, topK: 2, pooling })
    expect(routed.attend(map).attention.shape).toEqual([1, 4, 2, 6, keys])
  })
  it('carries gradients to the router through soft weights', async () => {
    const routed = attention(8, {
      ...plain,
      topK: 2,
      softRouting: true,
      router: { differentiable: true, projection: true },
    })
    const loss = routed
      .forward(map)
      .mul(random([1, 4, 6, 8], 4))
      .sum()
    const [slope] = await evaluate(grad(loss, [routed.router.emb!.weight]))
    expect([...slope.numbers()].some(value => Math.abs(value) > 1e-9)).toBe(true)
  })
  it('says what does not fit', () => {
    expect(() => attention(8, { heads: 3 })).toThrow('3 heads do not divide the widths 8 and 8')
    expect(() => attention(8, { heads: 2, regions: 2, topK: 5 })).toThrow('2x2 are only 4')
    expect(() => attention(8, plain).forward(random([1, 4, 4, 6]))).toThrow('expected [batch, height, width, 8]')
    expect(() => attention(8, { ...plain, topK: 1, regions: 7 }).forward(random([1, 4, 4, 8]))).toThrow(
      '4x4 tokens are fewer than 7x7 regions',
    )
  })
})

describe('GridAttention', () => {
  it('adds a convolution of its input, not of the values', async () => {
    const full = withSeed(2, () => new GridAttention(16, { lepe: 5 }))
    const bare = withSeed(2, () => new GridAttention(16))
    bare.qkv.weight.set(full.qkv.weight.data)
    bare.proj.weight.set(full.proj.weight.data)
    bare.proj.bias!.set(full.proj.bias!.data)
    const x = random([1, 3, 4, 16])
    const zero = full.proj.forward(x.mul(0))
    const [a, b] = await evaluate([
      full.forward(x).sub(bare.forward(x)),
      full.proj.forward(full.lepe!.forward(x)).sub(zero),
    ])
    near(a, b, 1e-5)
  })
  it('says when its heads do not divide the width', () => {
    expect(() => new GridAttention(12)).toThrow('8 heads do not divide the width 12')
  })
})

describe('DepthwiseConv', () => {
  it('convolves each channel by itself and keeps the size', async () => {
    const conv = new DepthwiseConv(2, 3)
    conv.weight.set(Float32Array.from({ length: 18 }, (_, i) => (i === 4 ? 2 : i === 13 ? 3 : 0)))
    conv.bias!.set(new Float32Array(2))
    const x = random([1, 3, 4, 2])
    const [a, b] = await evaluate([conv.forward(x), x.mul(tensor([2, 3], [2]))])
    near(a, b, 1e-6)
  })
})
