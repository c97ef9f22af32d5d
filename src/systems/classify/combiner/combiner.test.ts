import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import {
  compile,
  concat,
  hostTensor,
  interpret,
  multiplyAdds,
  placeholder,
  sizeOf,
  type Tensor,
  tensor,
  topologicalOrder,
} from '../../../core/index.ts'
import { parameterCount, scaledDotProductAttention, stateDict, withSeed } from '../../../nn/index.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { attentionCost, balancedSegment, logitsPerToken } from './attention-cost.ts'
import { claim, levelsOf, networkOf } from './claim.ts'
import { CombinerClassifier } from './classifier.ts'
import { CombinerAttention, type CombinerAttentionOptions, checkPadding } from './combiner-attention.ts'
import { system } from './index.ts'
import { CombinerLanguageModel, sampleSequences } from './language-model.ts'
import { loadCombinerAttention, official } from './official.ts'
import { jointSoftmax, mask, prefixSummary, regionSummary, shift } from './regions.ts'

describe.skipIf(!goldenExists('combiner'))('Combiner against its official implementation', () => {
  it('agrees in every output and gradient', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, 'combiner.safetensors')), 'combiner')
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBe(28)
  })
})

const given = (shape: readonly number[], seed = 3): Tensor => tensor(randomTensor(shape, seed).data, shape)
const numbers = (t: Tensor): Float64Array => interpret([t])[0].data
const ran = async (t: Tensor): Promise<number[]> => [...(await t.value()).numbers()]
const layer = (options: Partial<CombinerAttentionOptions>): CombinerAttention =>
  withSeed(5, () => new CombinerAttention({ dim: 8, heads: 2, pattern: 'fixed', segment: 4, ...options }))
/** What plain attention of the same projections gives. */
const dense = (a: CombinerAttention, x: Tensor, causal = true): Tensor => {
  const [q, k, v] = [a.query, a.key, a.value].map(projection => projection.forward(x))
  return a.DenseGeneral_0.forward(scaledDotProductAttention(q, k, v, { causal }).output)
}

describe('the implied dense attention', () => {
  const length = 16
  const patterns = [
    { pattern: 'fixed' },
    { pattern: 'axial' },
    { pattern: 'logsparse' },
    { pattern: 'mixture' },
  ] as const
  it.each(patterns)('is a causal distribution over every position before: $pattern', ({ pattern }) => {
    const weights = numbers(layer({ pattern }).expandedWeights(given([1, length, 8])))
    for (let row = 0; row < 2 * length; row++) {
      const line = [...weights.slice(row * length, (row + 1) * length)]
      expect(line.reduce((a, b) => a + b)).toBeCloseTo(1, 10)
      line.forEach((weight, j) => {
        if (j > row % length) expect(weight).toBe(0)
        else expect(weight).toBeGreaterThan(0)
      })
    }
  })
  it.each(patterns)('gives what the layer gives: $pattern', ({ pattern }) => {
    const a = layer({ pattern })
    const x = given([2, length, 8])
    const output = (a.DenseGeneral_2 ?? a.DenseGeneral_0).forward(a.expandedWeights(x).matmul(a.value.forward(x)))
    expectClose(numbers(output), numbers(a.forward(x)), 1e-12, pattern)
  })
  it.each(patterns)('leaves what is before a changed token as it was, bit for bit: $pattern', async ({ pattern }) => {
    const a = layer({ pattern })
    const run = compile((x: Tensor) => a.forward(x))
    const x = randomTensor([1, length, 8], 4)
    const before = (await run(x)).numbers()
    for (const t of [1, 6, 15]) {
      const changed = Float32Array.from(x.data as Float32Array, (value, i) =>
        Math.floor(i / 8) === t ? -value : value,
      )
      const after = (await run(hostTensor(changed, x.shape))).numbers()
      expect(after.slice(0, 8 * t)).toEqual(before.slice(0, 8 * t))
      expect(after.slice(8 * t)).not.toEqual(before.slice(8 * t))
    }
    await run.release()
  })
  it('reproduces a constant value', () => {
    for (const { pattern } of patterns) {
      const a = layer({ pattern })
      const sums = numbers(
        a.expandedWeights(given([1, length, 8])).matmul(tensor(new Float32Array(length).fill(7), [length, 1])),
      )
      expectClose(sums, new Array(2 * length).fill(7), 1e-12, pattern)
    }
  })
  it('sees both directions where it is not causal, and its own segment once', () => {
    for (const pattern of ['fixed', 'axial'] as const) {
      const weights = numbers(layer({ pattern, causal: false }).expandedWeights(given([1, length, 8])))
      expect(Math.min(...weights)).toBeGreaterThan(0)
      for (let row = 0; row < 32; row++)
        expect(weights.slice(row * length, (row + 1) * length).reduce((a, b) => a + b)).toBeCloseTo(1, 10)
    }
  })
  it('is ordinary attention with one segment, and with segments of one position', async () => {
    const x = given([2, 12, 8])
    const one = layer({ segment: 12 })
    expect(await ran(one.forward(x))).toEqual(await ran(dense(one, x)))
    const twelve = layer({ segment: 1 })
    expectClose(numbers(twelve.forward(x)), numbers(dense(twelve, x)), 1e-12, 'causal')
    const both = layer({ segment: 1, causal: false })
    expectClose(numbers(both.forward(x)), numbers(dense(both, x, false)), 1e-12, 'both directions')
  })
  it('cuts the past of the logsparse pattern by the binary digits of the position', () => {
    const a = layer({ pattern: 'logsparse' })
    // With equal keys, each entry of the softmax has the same weight, and so has each position of a region.
    for (const p of [a.query, a.key]) p.kernel.set(new Float32Array(p.kernel.size))
    const weights = numbers(a.expandedWeights(given([1, 8, 8]))).slice(0, 64)
    expectClose(weights.slice(48, 56), [1 / 12, 1 / 12, 1 / 12, 1 / 12, 1 / 6, 1 / 6, 1 / 3, 0], 1e-12, 'position 6')
    expectClose(weights.slice(40, 48), [1 / 12, 1 / 12, 1 / 12, 1 / 12, 1 / 3, 1 / 3, 0, 0], 1e-12, 'position 5')
  })
  it('covers what is in another row and column twice in the mixture', () => {
    const a = layer({ pattern: 'mixture', segment: 2 })
    for (const p of [a.query, a.key]) p.kernel.set(new Float32Array(p.kernel.size))
    const weights = numbers(a.expandedWeights(given([1, 4, 8]))).slice(12, 16)
    // Position 3: itself and its left neighbour, above it position 1; position 0 through its column and through its row.
    expectClose(weights, [2 / 5, 1 / 5, 1 / 5, 1 / 5], 1e-12, 'position 3')
  })
})

describe('the pieces of Combiner', () => {
  it('regionSummary pools queries and keys and attends inside the region', async () => {
    const f = (query: Tensor, key: Tensor, value: Tensor): Tensor => {
      const region = regionSummary({ query, key, value })
      return concat([region.key, region.value], -1)
    }
    const three = [1, 2, 3].map(seed => randomTensor([2, 3, 4], seed))
    await check(f, three)
    const [q, k, v] = three.map(t => tensor(t.data, t.shape))
    const largest = [q, k].map(t => t.max(1, true))
    const { output } = scaledDotProductAttention(largest[0], k, v, { scale: 1 })
    expectClose(numbers(f(q, k, v)), numbers(concat([largest[1], output], -1).squeeze(1)), 1e-12, 'summary')
  })
  it('regionSummary leaves blocked positions out, and gives zeros where all are', () => {
    const part = given([1, 3, 2])
    const blocked = tensor(Uint8Array.of(0, 0, 1, 1, 1, 1), [2, 3], 'bool')
    const both = concat([part, part], 0)
    const region = regionSummary({ query: both, key: both, value: both }, { blocked })
    const short = regionSummary({ query: part.slice(1, 0, 2), key: part.slice(1, 0, 2), value: part.slice(1, 0, 2) })
    expectClose(numbers(region.key), [...numbers(short.key), 0, 0], 1e-12, 'key')
    expectClose(numbers(region.value), [...numbers(short.value), 0, 0], 1e-12, 'value')
  })
  it('prefixSummary is the summary of what lies before, or after', () => {
    const t = given([1, 5, 3])
    for (const reverse of [false, true]) {
      const { key, value } = prefixSummary({ query: t, key: t, value: t }, reverse)
      for (let i = 0; i < 5; i++) {
        const region = reverse ? t.slice(1, i + 1) : t.slice(1, 0, i)
        const expected = region.shape[1] ? regionSummary({ query: region, key: region, value: region }) : undefined
        const zero = new Array(3).fill(0)
        expectClose(numbers(key.at(0, i)), expected ? numbers(expected.key) : zero, 1e-12, `key ${i}`)
        expectClose(numbers(value.at(0, i)), expected ? numbers(expected.value) : zero, 1e-12, `value ${i}`)
      }
    }
  })
  it('shift moves by one and brings in zeros', () => {
    const t = tensor(Float32Array.of(1, 2, 3), [3, 1])
    expect([...numbers(shift(t))]).toEqual([0, 1, 2])
    expect([...numbers(shift(t, true))]).toEqual([2, 3, 0])
  })
  it('jointSoftmax shares one softmax among all sets', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), (n, m) => {
        const [a, b] = [given([2, 3, n], n), given([2, 3, m], 7 + m)]
        const none = (size: number): Tensor => mask([3, size], () => false)
        const parts = jointSoftmax([
          { logits: a, blocked: none(n) },
          { logits: b, blocked: none(m) },
        ])
        const sums = numbers(concat(parts, -1).sum(-1))
        for (const total of sums) expect(total).toBeCloseTo(1, 10)
      }),
      { numRuns: 10 },
    )
  })
  it('ignores padding in both directions', () => {
    for (const pattern of ['fixed', 'axial', 'local'] as const) {
      const a = layer({ pattern, causal: false })
      const x = given([2, 12, 8])
      const padding = tensor(
        Uint8Array.from({ length: 24 }, (_, i) => Number(i >= 5 && i < 12)),
        [2, 12],
        'bool',
      )
      const hidden = padding.expandDims(-1).cast('f32')
      const [before, after] = [x, x.add(hidden.mul(9))].map(t => a.forward(t, padding).reshape([2, 12, 8]))
      // What stands at padding itself is nobody's business.
      expectClose(numbers(after.slice(1, 0, 5)), numbers(before.slice(1, 0, 5)), 1e-12, pattern)
      expectClose(numbers(after.at(1)), numbers(before.at(1)), 1e-12, pattern)
    }
  })
})

describe('loading official parameters', () => {
  it('takes widths and heads from the kernels', async () => {
    for (const options of [
      { pattern: 'axial', headDim: 3, out: 5 },
      { pattern: 'logsparse', segment: undefined, headDim: 6 },
      { pattern: 'mixture', out: 3 },
    ] as const) {
      const made = layer(options)
      const state = new Map(
        [...(await stateDict(made))].map(([key, value]) => [
          key.replace('LayerNorm_0.weight', 'LayerNorm_0.scale'),
          value,
        ]),
      )
      const loaded = loadCombinerAttention({ pattern: options.pattern, max_seg_len: 4 }, state)
      const x = given([1, 16, 8])
      expect(await ran(loaded.forward(x))).toEqual(await ran(made.forward(x)))
    }
  })
  it('refuses parameters of something else', () => {
    expect(() => loadCombinerAttention({}, new Map())).toThrow("lack 'query.kernel'")
    expect(() => loadCombinerAttention({ pattern: 'sparse' }, new Map())).toThrow(
      "pattern is 'sparse', expected one of",
    )
  })
})

describe('what attention costs', () => {
  /** Width of the widest softmax with a line for each position and head. */
  const joint = (output: Tensor, lines: number): number => {
    const shapes = topologicalOrder([output])
      .filter(({ primitive }) => primitive.name === 'softmax')
      .map(({ outputs: [{ shape }] }) => shape)
    return Math.max(
      ...shapes.filter(shape => sizeOf(shape.slice(0, -1)) === lines).map(shape => shape[shape.length - 1]),
    )
  }
  it('is counted as it is computed', () => {
    for (const pattern of ['local', 'fixed', 'axial', 'mixture', 'logsparse'] as const) {
      const output = layer({ pattern, segment: 16 }).forward(placeholder('x', [1, 256, 8]))
      expect(joint(output, 2 * 256), pattern).toBe(logitsPerToken(pattern, 256, 16))
    }
    expect(logitsPerToken('fixed', 256, 16)).toBe(32)
    expect(logitsPerToken('dense', 256, 16)).toBe(256)
  })
  it('grows much slower than dense attention', () => {
    const [short, long] = [256, 1024].map(length => attentionCost(length))
    const growth = (pattern: string): number =>
      long.find(row => row.pattern === pattern)!.multiplyAdds / short.find(row => row.pattern === pattern)!.multiplyAdds
    expect(growth('dense')).toBe(16)
    expect(growth('fixed')).toBeLessThan(8.1)
    expect(growth('logsparse')).toBeLessThan(5.1)
    const whole = multiplyAdds([layer({ segment: 32 }).expandedWeights(placeholder('x', [1, 32, 8]))])
    expect(whole).toBeGreaterThan(0)
    expect(balancedSegment(20)).toBe(4)
    expect(() => attentionCost(20, { segment: 6 })).toThrow('20 positions do not divide into segments of 6')
  })
})

describe('models made of Combiner', () => {
  const options = { vocabulary: 5, dim: 8, heads: 2, depth: 2, pattern: 'fixed', segment: 4 } as const
  const model = (): CombinerLanguageModel => withSeed(1, () => new CombinerLanguageModel(options))
  it('score a symbol from those before it', () => {
    const scores = (last: number): Float64Array =>
      numbers(model().forward(tensor(Int32Array.of(0, 1, 2, 3, 4, 0, 1, last), [1, 8])))
    expect(scores(2)).toEqual(scores(3))
    const first = (symbol: number): Float64Array =>
      numbers(model().forward(tensor(Int32Array.of(symbol, 1, 2, 3, 4, 0, 1, 2), [1, 8])))
    expect(first(0).slice(0, 5)).toEqual(first(1).slice(0, 5))
    expect(first(0).slice(5)).not.toEqual(first(1).slice(5))
    const start = model()
    for (const p of [start.head.weight, start.head.bias!]) p.set(new Float32Array(p.size))
    expect(numbers(start.bits(tensor(new Int32Array(16), [2, 8])))[0]).toBeCloseTo(Math.log2(5), 6)
  })
  it('draw the same sequences from a seed, and go on from a prompt', async () => {
    const draw = (seed: number) => sampleSequences(model(), { count: 3, length: 8, seed, prompt: [4, 4] })
    const [a, b, c] = [await draw(1), await draw(1), await draw(2)]
    expect(a).toEqual(b)
    expect(a).not.toEqual(c)
    for (const sequence of a) {
      expect([...sequence.slice(0, 2)]).toEqual([4, 4])
      expect(Math.max(...sequence)).toBeLessThan(5)
    }
  })
  it('classify pictures of any size that patches divide, gray or not', () => {
    for (const pattern of ['fixed', 'axial'] as const) {
      const network = new CombinerClassifier({
        channels: 1,
        classes: 3,
        size: [8, 12],
        dim: 8,
        depth: 1,
        heads: 2,
        pattern,
      })
      expect(network.forward(placeholder('x', [2, 1, 8, 12])).shape).toEqual([2, 3])
    }
  })
})

describe('the claim', () => {
  it('compares models of the same parameters', () => {
    const counts = claim.arms.map(({ name }) => parameterCount(networkOf(name)))
    expect(new Set(counts).size).toBe(1)
  })
  it('averages pictures over a coarser grid and cuts them into levels', () => {
    expect(new Set(levelsOf(new Uint8Array(28 * 28).fill(100), 28, 28))).toEqual(new Set([6]))
    expect(new Set(levelsOf(new Uint8Array(20 * 30).fill(255), 20, 30))).toEqual(new Set([15]))
    // The first of 16 cells covers one and three quarters of 28 pixels.
    const corner = new Uint8Array(28 * 28)
    corner[0] = 255
    expect(levelsOf(corner, 28, 28)[0]).toBe(Math.floor((255 / 1.75 ** 2 / 256) * 16))
  })
  it('asks for half of the gap to dense attention', () => {
    const results = (values: readonly number[]) =>
      new Map(claim.arms.map(({ name }, i) => [name, [{ value: values[i] }, { value: values[i] + 0.02 }]]))
    const [wide, narrow] = [
      [1.4, 2, 1],
      [1.6, 2, 1],
    ].map(values => claim.conditions!(results(values))[0])
    expect(wide).toMatchObject({ measured: '0.60', holds: true })
    expect(narrow).toMatchObject({ measured: '0.40', holds: false })
  })
})

describe('Combiner by name', () => {
  const { defaults, build } = system.model!
  it.each([
    [1, 28, 28],
    [3, 64, 48],
    [4, 17, 13],
    [3, 224, 224],
  ])('takes pictures of %d channels, %d x %d', (channels, height, width) => {
    const format = { channels, size: [height, width], classes: 5 } as const
    const network = build(format, { ...defaults(format), dim: 8, depth: 1 })
    expect(network.forward(placeholder('images', [2, channels, height, width])).shape).toEqual([2, 5])
  })
})

describe('pictures whose sides have no common divisor', () => {
  it('are refused where they would make too many patches', () => {
    expect(() => system.model!.defaults({ channels: 3, size: [211, 223], classes: 2 })).toThrow(
      'pictures of 211x223 divide into no fewer than 47053 patches; bring them to sides with a common divisor',
    )
  })
})

describe('Combiner given what it cannot take', () => {
  it('says so', () => {
    const x = given([2, 12, 8])
    expect(() => layer({ heads: 3 })).toThrow('3 heads do not divide the width 8')
    expect(() => layer({ segment: undefined })).toThrow("the pattern 'fixed' needs the length of a segment")
    expect(() => layer({ pattern: 'mixture', causal: false })).toThrow("the pattern 'mixture' is causal only")
    expect(() => layer({ segment: 5 }).forward(x)).toThrow('12 positions do not divide into segments of 5')
    expect(() => layer({ pattern: 'logsparse' }).forward(x)).toThrow('needs a power of two of positions, got 12')
    expect(() => layer({}).forward(given([2, 12, 6]))).toThrow('expected [batch, positions, 8], got [2,12,6]')
    const padding = (value: number): Tensor => tensor(new Uint8Array(24).fill(value, 12), [2, 12], 'bool')
    expect(() => layer({}).forward(x, padding(1))).toThrow('sequence 1 is nothing but padding')
    expect(() => checkPadding([0, 1, 1, 1], 2)).toThrow('sequence 1 is nothing but padding')
    expect(() => layer({ pattern: 'mixture' }).forward(x, padding(0))).toThrow('takes no padding mask')
    expect(() => layer({}).forward(x, tensor(new Uint8Array(6), [2, 3], 'bool'))).toThrow('expected bool[2,12]')
    const size = [9, 8] as const
    expect(() => new CombinerClassifier({ channels: 1, classes: 2, size })).toThrow(
      '9x8 do not divide into patches of 4',
    )
  })
})
