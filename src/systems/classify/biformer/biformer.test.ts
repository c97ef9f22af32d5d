import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import { evaluate, hostTensor, placeholder, type Tensor, tensor } from '../../../core/index.ts'
import { parameterCount, stateDict, withSeed } from '../../../nn/index.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { BiFormer, type BiFormerOptions } from './biformer.ts'
import { claim, readerOf } from './claim.ts'
import { routedRegions } from './explain.ts'
import { system } from './index.ts'
import { loadBiFormer, official } from './official.ts'

const small: BiFormerOptions = {
  classes: 5,
  dims: [8, 16, 16, 24],
  depths: [1, 1, 1, 1],
  headDim: 8,
  regions: 2,
  mixing: [1, 2, 4, 'fullLepe'],
}
const pictures = (height: number, width: number): Tensor => {
  const shape = [2, 3, height, width]
  return tensor(randomTensor(shape, 1, -1, 1).data, shape)
}

describe.each(['biformer', 'biformer.bra'])('%s', name => {
  it.skipIf(!goldenExists(name))('agrees with the official code in every output and gradient', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, `${name}.safetensors`)), name)
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBeGreaterThan(7)
  })
})

describe('loadBiFormer', () => {
  const windows = { n_win: 2, head_dim: 8, topks: [1, 2, 4, -2] }
  it.each<[string, Partial<BiFormerOptions>, Record<string, unknown>]>([
    ['as released', {}, windows],
    ['narrower queries and keys', { keyDims: [8, 8, 8, 24] }, { ...windows, qk_dims: [8, 8, 8, null] }],
    [
      'full attention and convolutions',
      { mixing: [2, 'full', 'convolution', 'full'] },
      { n_win: 2, head_dim: 8, topks: [2, -1, 0, -1] },
    ],
    [
      'norms after sums, layer scale',
      { preNorm: false, layerScale: 0.5 },
      { ...windows, pre_norm: false, layer_scale_init_value: 0.5 },
    ],
    ['a convolution in the feed-forward, none for positions', { mlpConv: true, positionKernel: 0, lepe: 0 }, windows],
    [
      'soft routing of pooled keys',
      {
        softRouting: true,
        router: { differentiable: true, projection: true },
        pooling: [1, 1, 1, 1].map(side => ({ kind: 'adaptiveAverage', side })) as unknown as BiFormerOptions['pooling'],
      },
      {
        ...windows,
        soft_routing: true,
        diff_routing: true,
        param_routing: true,
        kv_downsample_mode: 'ada_avgpool',
        kv_per_wins: [1, 1, 1, 1],
      },
    ],
    [
      'without an output projection, padded',
      { outputProjection: false, padding: true },
      { ...windows, param_attention: 'qkv', auto_pad: true },
    ],
  ])('rebuilds a model from its state dict: %s', async (_, options, config) => {
    const model = withSeed(7, () => new BiFormer({ ...small, ...options }))
    const again = loadBiFormer(config, await stateDict(model))
    const x = pictures(64, 64)
    const [a, b] = await evaluate([model.forward(x), again.forward(x)])
    expect([...b.numbers()]).toEqual([...a.numbers()])
    expect(a.shape).toEqual([2, 5])
  })
  it('says what does not fit', async () => {
    const state = await stateDict(new BiFormer(small))
    expect(() => loadBiFormer({ ...windows, depth: [1, 1, 2, 1] }, state)).toThrow(/does not fit the model: .*missing/)
    expect(() => loadBiFormer({}, new Map())).toThrow("the checkpoint has no 'downsample_layers.0.3.weight'")
    expect(() => loadBiFormer({ ...windows, before_attn_dwconv: 5 }, state)).toThrow('before_attn_dwconv is 5')
    expect(() => loadBiFormer({ ...windows, kv_downsample_mode: 'conv' }, state)).toThrow(
      "kv_downsample_mode is 'conv'",
    )
    expect(() => loadBiFormer({ ...windows, diff_routing: true }, state)).toThrow('diff_routing needs soft_routing')
    expect(() => loadBiFormer({ ...windows, topks: [1, 2, 3] }, state)).toThrow("'topks' has 3 entries")
  })
})

describe('BiFormer', () => {
  it('gives maps at strides 4, 8, 16 and 32', () => {
    expect(new BiFormer(small).pyramid(pictures(64, 128)).map(map => map.shape)).toEqual([
      [2, 8, 16, 32],
      [2, 16, 8, 16],
      [2, 16, 4, 8],
      [2, 24, 2, 4],
    ])
  })
  it.each([
    ['T', {}, 13.1],
    ['S', { depths: [4, 4, 18, 4] }, 25.5],
    ['B', { depths: [4, 4, 18, 4], dims: [96, 192, 384, 768] }, 56.8],
  ] as const)('has as many parameters as the paper says: %s', (_, options, millions) => {
    expect(parameterCount(new BiFormer({ classes: 1000, ...options })) / 1e6).toBeCloseTo(millions, 1)
  })
  it('says what does not fit', () => {
    expect(() => new BiFormer({ ...small, mixing: [5, 2, 4, 'full'] })).toThrow('2x2 are only 4')
    expect(() => new BiFormer({ ...small, headDim: 32 })).toThrow('stage 1 is 8 wide, too narrow for heads of 32')
    expect(() => new BiFormer(small).forward(pictures(40, 40))).toThrow('5x5 tokens do not divide into 2x2 regions')
    expect(() => new BiFormer(small).forward(pictures(8, 8))).toThrow('1x1 tokens are fewer than 2x2 regions')
  })
})

describe('the claim', () => {
  it('gives every arm the same parameters', () => {
    const counts = claim.arms.map(({ name }) => parameterCount(readerOf(name, 0, 10)))
    expect(new Set(counts).size).toBe(1)
  })
})

describe('--model biformer', () => {
  it.each([
    [1, 28, 28],
    [3, 32, 48],
    [3, 100, 75],
  ])('takes pictures of %i channels, %ix%i', (channels, height, width) => {
    const format = { channels, size: [height, width] as const, classes: 4 }
    const network = system.model!.build(format, system.model!.defaults(format))
    expect(network.forward(placeholder('x', [2, channels, height, width])).shape).toEqual([2, 4])
  })
})

describe('routedRegions', () => {
  const model = withSeed(1, () => new BiFormer({ ...small, mixing: [1, 2, 3, 'fullLepe'] }))
  const picture = hostTensor(randomTensor([1, 3, 64, 64], 2, -1, 1).data, [1, 3, 64, 64])
  it('gives the regions that a position looks at, best first', async () => {
    const regions = await routedRegions(model, picture, { x: 40, y: 10 })
    expect(regions).toHaveLength(3)
    for (const { left, top, right, bottom } of regions) {
      expect([right - left, bottom - top]).toEqual([32, 32])
      expect([left % 32, top % 32]).toEqual([0, 0])
    }
    const affinities = regions.map(({ affinity }) => affinity)
    expect([...affinities].sort((a, b) => b - a)).toEqual(affinities)
  })
  it('says when the position lies outside', async () => {
    await expect(routedRegions(model, picture, { x: 64, y: 0 })).rejects.toThrow('lies outside the picture of 64x64')
  })
})
