import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, shapes } from '../../../test/check.ts'
import { compile, hostTensor, interpret, Program, placeholder, type Tensor, tensor, Variable } from '../index.ts'
import * as random from './random.ts'

const values = async (t: Tensor): Promise<Float64Array> => (await t.value()).numbers()

/** The i32 words of `count` draws, by the interpreter. */
const words = (key: Tensor, count: number): Float64Array => interpret([random.randomBits(key, [count])])[0].data

const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((a, b) => a + b, 0) / x.length
const variance = (x: ArrayLike<number>): number => {
  const centre = mean(x)
  return mean(Array.from(x, value => (value - centre) ** 2))
}

/** How far a chi-square statistic with `buckets`-1 degrees of freedom lies from its mean, in standard deviations. */
function chiSquareDeviation(counts: readonly number[], expected: readonly number[]): number {
  const statistic = counts.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0)
  const freedom = counts.length - 1
  return Math.abs(statistic - freedom) / Math.sqrt(2 * freedom)
}

function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [ma, mb] = [mean(a), mean(b)]
  const products = Array.from(a, (value, i) => (value - ma) * (b[i] - mb))
  return mean(products) / Math.sqrt(variance(a) * variance(b))
}

describe('random bits', () => {
  it('are the same words in the runtime and the interpreter, for any key and shape', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer(), shapes(3, 7), async (seed, step, shape) => {
        const key = tensor(new Int32Array([seed, step]))
        const bits = random.randomBits(key, shape)
        expect((await bits.value()).data).toEqual(Int32Array.from(interpret([bits])[0].data))
      }),
      { numRuns: 10 },
    )
  })
  it('are the same whether made in one piece or in many', async () => {
    const key = random.key(5)
    for (const count of [400_001, 450_000, 403_103]) {
      const many = (await random.randomBits(key, [count]).value()).data as Int32Array
      const reference = words(key, 3000)
      expect(many.slice(0, 3000)).toEqual(Int32Array.from(reference))
      const last = interpret([random.randomBits(key, [count])])[0].data.slice(-2000)
      expect(many.slice(-2000)).toEqual(Int32Array.from(last))
    }
  })
  it('take their key from an input, so that every run draws anew', async () => {
    const key = placeholder('key', [2], 'i32')
    const program = await Program.compile([key], [random.randomBits(random.foldIn(key, 3), [8])])
    const at = async (step: number) => (await program.run([hostTensor([7, step], [2], 'i32')]))[0].data
    expect(await at(0)).toEqual(await at(0))
    expect(await at(0)).not.toEqual(await at(1))
    expect(await at(1)).toEqual(
      (await random.randomBits(random.foldIn(tensor(new Int32Array([7, 1])), 3), [8]).value()).data,
    )
  })
  it('fold a counter in that lives in a variable', async () => {
    const counter = new Variable(new Int32Array([0]), [1])
    const step = compile(() => {
      counter.assign(counter.add(1))
      return random.uniform(random.foldIn(random.key(1), counter), [4])
    })
    const [first, second] = [(await step()).numbers(), (await step()).numbers()]
    expect(first).not.toEqual(second)
    expect(second).toEqual(await values(random.uniform(random.foldIn(random.key(1), 1), [4])))
  })
  it('fill equal buckets equally, in the high and in the low bits', () => {
    const bits = words(random.key(11), 100_000)
    for (const shift of [24, 16, 8, 0]) {
      const counts = new Array<number>(256).fill(0)
      for (const word of bits) counts[(word >>> shift) & 255]++
      expect(
        chiSquareDeviation(
          counts,
          counts.map(() => bits.length / 256),
        ),
      ).toBeLessThan(4)
    }
  })
  it('change half of their bits when one bit of the counter, the seed or the step changes', () => {
    const popcount = (x: number): number => {
      let count = 0
      for (let rest = x >>> 0; rest; rest &= rest - 1) count++
      return count
    }
    const base = words(tensor(new Int32Array([3, 9])), 4096)
    for (const bit of [0, 1, 5, 11]) {
      const changed = Array.from(base, (word, i) => popcount(word ^ base[i ^ (1 << bit)]))
      expect(Math.abs(mean(changed) - 16)).toBeLessThan(0.25)
    }
    for (const bit of [0, 1, 7, 31])
      for (const half of [0, 1]) {
        const seed = new Int32Array([3, 9])
        seed[half] ^= 1 << bit
        const other = words(tensor(seed), 4096)
        const changed = Array.from(base, (word, i) => popcount(word ^ other[i]))
        expect(Math.abs(mean(changed) - 16)).toBeLessThan(0.25)
        // Also not the same words in another order.
        const known = new Set(base)
        expect(other.filter(word => known.has(word)).length).toBeLessThan(3)
      }
  })
  it('do not correlate with their neighbours, nor with those of neighbouring keys', () => {
    const unit = (key: Tensor) => Array.from(words(key, 20_000), word => word / 2 ** 32)
    const base = unit(tensor(new Int32Array([0, 0])))
    const bound = 4 / Math.sqrt(base.length)
    for (const lag of [1, 2, 3, 8, 64])
      expect(Math.abs(correlation(base.slice(lag), base.slice(0, -lag)))).toBeLessThan(bound)
    for (const [seed, step] of [
      [0, 1],
      [1, 0],
      [0, 2],
      [1, 1],
    ])
      expect(Math.abs(correlation(base, unit(tensor(new Int32Array([seed, step])))))).toBeLessThan(bound)
    const [left, right] = random.splitKey(random.key(0))
    expect(Math.abs(correlation(unit(left), unit(right)))).toBeLessThan(bound)
    expect(Math.abs(correlation(base, unit(left)))).toBeLessThan(bound)
    expect(Math.abs(correlation(unit(left), unit(random.foldIn(random.key(0), 0))))).toBeLessThan(bound)
  })
})

describe('keys', () => {
  it('of all seeds, splits and folds differ', () => {
    const keys = [
      ...Array.from({ length: 50 }, (_, i) => random.key(i - 25)),
      random.key(2 ** 40),
      random.key(2 ** 40 + 1),
      ...random.splitKey(random.key(0), 50),
      ...Array.from({ length: 50 }, (_, i) => random.foldIn(random.key(0), i)),
    ]
    const texts = interpret(keys).map(({ data }) => data.join())
    expect(new Set(texts).size).toBe(keys.length)
  })
  it('refuse what is not a key', () => {
    expect(() => random.key(0.5)).toThrow('key: the seed must be a whole number, got 0.5')
    expect(() => random.uniform(tensor([1, 2]), [3])).toThrow('a random key is i32[2] (see key(seed)), got f32[2]')
    expect(() => random.foldIn(random.key(1), tensor([1]))).toThrow('foldIn: data must be one i32 number, got f32[1]')
    expect(() => random.uniform(random.key(0), [-1, 3])).toThrow('got [N,3]')
  })
})

describe('distributions', () => {
  const key = random.key(42)
  it.each([
    ['uniform', () => random.uniform(key, [100, 1000]), 0.5, 1 / 12],
    ['uniform in [-1, 3)', () => random.uniform(key, [100_000], -1, 3), 1, 16 / 12],
    ['normal', () => random.normal(key, [100_001]), 0, 1],
    ['normal with mean 3 and deviation 2', () => random.normal(key, [100_000], 3, 2), 3, 4],
    ['truncated normal', () => random.truncatedNormal(key, [100_000]), 0, 0.774],
    ['gumbel', () => random.gumbel(key, [100_000]), 0.5772, Math.PI ** 2 / 6],
  ] as const)('%s has its mean and variance', async (_, make, centre, spread) => {
    const drawn = await values(make())
    expect(Math.abs(mean(drawn) - centre)).toBeLessThan(4 * Math.sqrt(spread / drawn.length))
    expect(Math.abs(variance(drawn) / spread - 1)).toBeLessThan(0.02)
  })
  it('agree between runtime and interpreter', async () => {
    await check(
      () => [
        random.uniform(key, [3, 5], 2, 4),
        random.normal(key, [7]),
        random.truncatedNormal(key, [6], -1, 3),
        random.gumbel(key, [9]),
        random.bernoulli(key, 0.3, [20]),
      ],
      [],
      { gradient: false },
    )
  })
  it('are differentiable in their parameters', async () => {
    await check(
      (low, high) => random.normal(key, [4], low, high).mul(random.uniform(key, [4], low, high)),
      [hostTensor([0.5, 1, -1, 0], [4]), hostTensor([2], [])],
      { second: true },
    )
  })
  it('normal fills the buckets of equal probability equally', async () => {
    const drawn = await values(random.normal(random.key(8), [100_000]))
    // Deciles of the normal distribution.
    const cuts = [-1.2815516, -0.8416212, -0.5244005, -0.2533471, 0, 0.2533471, 0.5244005, 0.8416212, 1.2815516]
    const counts = new Array<number>(10).fill(0)
    for (const x of drawn) counts[cuts.filter(cut => x >= cut).length]++
    expect(
      chiSquareDeviation(
        counts,
        counts.map(() => drawn.length / 10),
      ),
    ).toBeLessThan(4)
  })
  it('truncated normal stays inside its bounds, also far out', async () => {
    const drawn = await values(random.truncatedNormal(key, [20_000], 0.5, 6))
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0.5)
    expect(Math.max(...drawn)).toBeLessThanOrEqual(6)
    expect(drawn.every(Number.isFinite)).toBe(true)
    expect(() => random.truncatedNormal(key, [1], 2, -2)).toThrow('low must be below high, got 2 and -2')
  })
  it('erfInverse undoes erf', async () => {
    await check(
      x => random.erfInverse(x).erf().sub(x),
      [hostTensor([-0.999, -0.9, -0.3, 0, 1e-3, 0.5, 0.97, 0.9999], [8])],
      {
        gradient: false,
      },
    )
    const places = hostTensor([-2.5, -1, -0.1, 0, 0.4, 1.7, 2.6], [7])
    const round = await values(random.erfInverse(tensor(places.data).erf()))
    expectClose(round, places.numbers(), 3e-4, 'erfInverse')
  })
  it('bernoulli is true as often as asked, and at the ends never and always', async () => {
    const rate = async (p: number) => mean(await values(random.bernoulli(key, p, [500, 1000])))
    for (const p of [0.001, 0.1, 0.5, 0.9])
      expect(Math.abs((await rate(p)) - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 500_000))
    expect(await rate(0)).toBe(0)
    expect(await rate(1)).toBe(1)
    const each = await values(random.bernoulli(key, tensor([0, 0.25, 1]), [40_000, 3]))
    const column = (c: number) => mean(each.filter((_, i) => i % 3 === c))
    expect([column(0), column(2)]).toEqual([0, 1])
    expect(Math.abs(column(1) - 0.25)).toBeLessThan(0.01)
    expect(() => random.bernoulli(key, 1.2, [2])).toThrow('bernoulli: the probability must be in [0, 1], got 1.2')
  })
  it('categorical and multinomial follow the softmax of the logits', async () => {
    const probabilities = [0.1, 0.2, 0.7]
    const logits = tensor(probabilities.map(Math.log))
    const counted = (drawn: ArrayLike<number>) =>
      probabilities.map((_, c) => Array.from(drawn).filter(value => value === c).length)
    const many = await values(random.categorical(key, logits.broadcastTo([20_000, 3])))
    expect(
      chiSquareDeviation(
        counted(many),
        probabilities.map(p => p * 20_000),
      ),
    ).toBeLessThan(4)
    const replaced = await values(random.multinomial(key, logits, 20_000))
    expect(
      chiSquareDeviation(
        counted(replaced),
        probabilities.map(p => p * 20_000),
      ),
    ).toBeLessThan(4)
  })
  it('multinomial without replacement draws different classes, the likely ones first', async () => {
    const logits = tensor([0, 1, 2, Number.NEGATIVE_INFINITY])
    const drawn = await random.multinomial(key, logits.broadcastTo([5000, 4]), 3, { replacement: false }).value()
    const rows = drawn.toArray() as number[][]
    expect(rows.every(row => new Set(row).size === 3 && !row.includes(3))).toBe(true)
    const first = rows.filter(([head]) => head === 2).length / rows.length
    expect(Math.abs(first - Math.E ** 2 / (1 + Math.E + Math.E ** 2))).toBeLessThan(0.03)
    expect(() => random.multinomial(key, logits, 5, { replacement: false })).toThrow(
      'multinomial: 5 different classes cannot come from 4',
    )
  })
  it('permutation holds every number once, each place being equally likely', async () => {
    const order = await values(random.permutation(key, 1000))
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    const counts = new Array<number>(5).fill(0)
    const orders = Array.from({ length: 1000 }, (_, i) => random.permutation(tensor(new Int32Array([4, i])), 5))
    for (const { data } of interpret(orders)) counts[data[0]]++
    expect(
      chiSquareDeviation(
        counts,
        counts.map(() => 200),
      ),
    ).toBeLessThan(4)
  })
  it('shuffle moves whole slices', async () => {
    const x = tensor(
      Float32Array.from({ length: 40 }, (_, i) => i),
      [20, 2],
    )
    const rows = (await random.shuffle(key, x).value()).toArray() as number[][]
    expect(rows.every(([a, b]) => b === a + 1)).toBe(true)
    expect(rows.map(([a]) => a)).not.toEqual(rows.map((_, i) => 2 * i))
    expect(new Set(rows.map(([a]) => a)).size).toBe(20)
  })
})
