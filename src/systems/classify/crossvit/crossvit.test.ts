import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import {
  concat,
  evaluate,
  grad,
  type HostTensor,
  multiplyAdds,
  placeholder,
  type Tensor,
  tensor,
} from '../../../core/index.ts'
import { namedVariables, parameterCount, stateDict, withSeed } from '../../../nn/index.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { claim, networkOf } from './claim.ts'
import { CrossVit, type CrossVitOptions, MultiConvPatchEmbed } from './crossvit.ts'
import { ClassTokenCrossAttention, MultiScaleFusion } from './fusion.ts'
import { system } from './index.ts'
import { loadCrossVit, official } from './official.ts'

const small: CrossVitOptions = {
  classes: 5,
  sizes: [12, 16],
  patches: [3, 4],
  dims: [8, 12],
  heads: [2, 3],
  mlpRatios: [2, 2],
  depths: [
    [1, 2],
    [1, 1],
  ],
}
const random = (shape: number[], seed = 1): Tensor => tensor(randomTensor(shape, seed, -1, 1).data, shape)
const near = (actual: HostTensor, expected: HostTensor, tolerance: number): void =>
  expectClose(actual.numbers(), expected.numbers(), tolerance, 'values')

describe('crossvit', () => {
  it.skipIf(!goldenExists('crossvit'))('agrees with the official code in every output and gradient', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, 'crossvit.safetensors')), 'crossvit')
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBeGreaterThan(10)
  })
})

describe('loadCrossVit', () => {
  it.each<[string, Partial<CrossVitOptions>, Record<string, unknown>]>([
    ['two branches', {}, { num_heads: [2, 3] }],
    [
      'three branches, two cross attentions each',
      {
        sizes: [12, 16, 15],
        patches: [3, 4, 5],
        dims: [8, 12, 8],
        heads: [2, 3, 2],
        mlpRatios: [2, 2, 3],
        depths: [[1, 2, 2]],
        fusions: 2,
      },
      { num_heads: [2, 3, 2], depth: [[1, 2, 2, 2]] },
    ],
    ['one cross attention in a sequence', { nestedFusion: true }, { num_heads: [2, 3] }],
    ['no bias, another scale', { qkvBias: false, crossScale: 0.3 }, { num_heads: [2, 3], qk_scale: 0.3 }],
    [
      'several convolutions for patches',
      { multiConv: true, sizes: [24, 32], patches: [12, 16] },
      { num_heads: [2, 3], patch_size: [12, 16] },
    ],
  ])('rebuilds a model from its state dict: %s', async (_, options, config) => {
    const model = withSeed(7, () => new CrossVit({ ...small, ...options }))
    const again = loadCrossVit(config, await stateDict(model))
    const x = random([2, 3, 20, 20])
    const [a, b] = await evaluate([model.forward(x), again.forward(x)])
    expect([...b.numbers()]).toEqual([...a.numbers()])
    expect(a.shape).toEqual([2, 5])
  })
  it('says what does not fit', async () => {
    const state = await stateDict(new CrossVit(small))
    expect(() => loadCrossVit({}, state)).toThrow("'num_heads'")
    expect(() => loadCrossVit({ num_heads: [2, 3], depth: [[1, 2, 0]] }, state)).toThrow('has 2 multi-scale blocks')
    expect(() =>
      loadCrossVit(
        {
          num_heads: [2, 3],
          depth: [
            [1, 2],
            [1, 1],
          ],
        },
        state,
      ),
    ).toThrow('and one more')
    expect(() => loadCrossVit({ num_heads: [2, 3], num_classes: 7 }, state)).toThrow(/does not fit the model/)
    expect(() => loadCrossVit({}, new Map([['cls_token.0', state.get('cls_token.0')!]]))).toThrow(
      "the checkpoint has no 'pos_embed.0'",
    )
  })
})

describe('MultiScaleFusion', () => {
  const fusion = withSeed(3, () => new MultiScaleFusion({ dims: [8, 12], heads: [2, 3] }))
  const [s, l] = [random([2, 1 + 9, 8], 1), random([2, 1 + 4, 12], 2)]

  it('keeps shapes and patches, and replaces the class tokens', async () => {
    const [a, b] = fusion.forward([s, l])
    expect([a.shape, b.shape]).toEqual([s.shape, l.shape])
    const [before, after] = await evaluate([s, a])
    near(after, before, 10)
    const [patches, kept] = await evaluate([s.slice(1, 1), a.slice(1, 1)])
    expect([...kept.numbers()]).toEqual([...patches.numbers()])
  })
  it("does not depend on the order of the other branch's patches", async () => {
    const shuffled = [0, 3, 1, 4, 2].map(i => l.slice(1, i, i + 1))
    const mixed = concat(shuffled, 1)
    const [a, b] = await evaluate([fusion.forward([s, l])[0], fusion.forward([s, mixed])[0]])
    near(b, a, 1e-5)
  })
  it('reads nothing of the other branch when the cross attention gives nothing', async () => {
    const deaf = withSeed(3, () => new MultiScaleFusion({ dims: [8, 12], heads: [2, 3] }))
    for (const [path, variable] of namedVariables(deaf))
      if (/attn\.proj/.test(path)) variable.set(new Float32Array(variable.size))
    const [a, b] = await evaluate([deaf.forward([s, l])[0], deaf.forward([s, l.mul(-3)])[0]])
    near(b, a, 1e-6)
  })
  it('gives the own patches of a branch no way to its class token', async () => {
    const cls = fusion.forward([s, l])[0].at(null, 0)
    const [slope] = await evaluate(grad(cls.mul(random([2, 8], 5)).sum(), [s]))
    const values = [...slope.numbers()]
    expect(values.slice(8, 80).every(value => value === 0)).toBe(true)
    expect(values.slice(0, 8).some(value => value !== 0)).toBe(true)
  })
  it('costs an amount that grows linearly with the patches of the other branch', () => {
    const cost = (patches: number): number =>
      multiplyAdds([fusion.forward([placeholder('s', [1, 10, 8]), placeholder('l', [1, 1 + patches, 12])])[0]])
    expect(cost(40) - cost(20)).toBe(cost(20) - cost(0))
  })
  it('exchanges in a ring of three, all at once', () => {
    const ring = new MultiScaleFusion({ dims: [8, 12, 4], heads: [2, 3, 1] })
    const shapes = ring.forward([s, l, random([2, 3, 4])]).map(t => t.shape)
    expect(shapes).toEqual([
      [2, 10, 8],
      [2, 5, 12],
      [2, 3, 4],
    ])
  })
  it('says what does not fit', () => {
    expect(() => new MultiScaleFusion({ dims: [8], heads: [2] })).toThrow('at least two branches')
    expect(() => new MultiScaleFusion({ dims: [8, 12], heads: [2, 5] })).toThrow('5 heads do not divide the width 12')
    expect(() => fusion.forward([s])).toThrow('2 branches were built, got 1')
  })
})

describe('ClassTokenCrossAttention', () => {
  it('gives one token, whatever the number it reads', () => {
    const attention = new ClassTokenCrossAttention(8, { heads: 2 })
    expect(attention.forward(random([2, 7, 8])).shape).toEqual([2, 1, 8])
    expect(() => new ClassTokenCrossAttention(8, { heads: 3 })).toThrow('3 heads do not divide the width 8')
  })
})

describe('CrossVit', () => {
  it('embeds a picture as the class tokens side by side', async () => {
    const model = new CrossVit(small)
    const x = random([2, 3, 12, 12])
    const [embedded, ...tokens] = await evaluate([model.embed(x), ...model.classTokens(x)])
    expect(embedded.shape).toEqual([2, model.featureDim])
    expect([...embedded.numbers()].slice(0, 8)).toEqual([...tokens[0].numbers()].slice(0, 8))
  })
  it('has as many parameters as the official CrossViT-9', () => {
    expect(parameterCount(new CrossVit({ classes: 1000 })) / 1e6).toBeCloseTo(8.55, 2)
  })
  it('says what does not fit', () => {
    const built = (options: Partial<CrossVitOptions>) => () => new CrossVit({ ...small, ...options })
    expect(built({ sizes: [12, 18] })).toThrow('branch 1, 18 wide, does not divide into patches of 4; use 20')
    expect(built({ dims: [8] })).toThrow('at least two branches')
    expect(built({ heads: [2] })).toThrow('heads [2] has 1 entries for 2 branches')
    expect(built({ heads: [3, 3] })).toThrow('3 heads do not divide the width 8')
    expect(built({ depths: [[2, 1]] })).toThrow('no branch may be deeper than the last')
    expect(built({ depths: [[0, 1]] })).toThrow('must be at least 1')
    const model = new CrossVit(small)
    expect(() => model.forward(random([1, 3, 12, 16]))).toThrow('pictures must be square, got 12x16')
    expect(() => model.forward(random([1, 1, 12, 12]))).toThrow('expected [batch, 3, height, width]')
    expect(() => new MultiConvPatchEmbed(3, 8, 8)).toThrow('12 or 16 wide, got 8')
    expect(() => new CrossVit({ ...small, classes: 0 }).forward(random([1, 3, 12, 12]))).toThrow('has no classifier')
  })
})

describe('the claim', () => {
  it('gives every arm parameters within 3 % of each other', () => {
    const [ours, ...others] = claim.arms.map(({ name }) => parameterCount(networkOf(name)))
    for (const count of others) expect(Math.abs(count / ours - 1)).toBeLessThan(0.03)
  })
})

describe('--model crossvit', () => {
  it.each([
    [1, 28, {}],
    [3, 32, { patches: [2, 8] }],
    [3, 50, {}],
  ])('takes square pictures of %i channels, %i wide', (channels, side, options) => {
    const format = { channels, size: [side, side] as const, classes: 4 }
    const network = system.model!.build(format, { ...system.model!.defaults(format), ...options })
    expect(network.forward(placeholder('x', [2, channels, side, side])).shape).toEqual([2, 4])
  })
  it('says that pictures must be square', () => {
    expect(() => system.model!.defaults({ channels: 3, size: [28, 32], classes: 2 })).toThrow(
      'needs square pictures, these are 28x32',
    )
  })
})
