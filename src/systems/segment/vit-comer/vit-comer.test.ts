import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import {
  evaluate,
  grad,
  type HostTensor,
  interpret,
  placeholder,
  type Tensor,
  tensor,
  type Variable,
} from '../../../core/index.ts'
import { namedVariables, parameterCount, stateDict, Vit, withSeed } from '../../../nn/index.ts'
import { type Golden, GoldenCase, Leaves, readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { claim, segmenterOf } from './claim.ts'
import { system } from './index.ts'
import { CtiToViT, MRFP } from './interaction.ts'
import { loadViTCoMer, official } from './official.ts'
import { DenseVit, type DenseVitOptions } from './plain-vit.ts'
import { SimplePyramid } from './simple-pyramid.ts'
import { ViTCoMer, type ViTCoMerOptions } from './vit-comer.ts'

const trunk: DenseVitOptions = { dim: 12, depth: 4, heads: 2, mlpRatio: 2, grid: [2, 2] }
const small: ViTCoMerOptions = { heads: 3, points: 2, cnnWidth: 4, pyramidRatio: 0.5, feedForwardRatio: 0.5 }
const random = (shape: number[], seed = 1): Tensor => tensor(randomTensor(shape, seed, -1, 1).data, shape)
const near = (actual: HostTensor, expected: HostTensor, tolerance: number): void =>
  expectClose(actual.numbers(), expected.numbers(), tolerance, 'values')
const golden = (name: string): Golden => readGolden(readFileSync(join(goldenFolder, `${name}.safetensors`)), name)

/** Gives every parameter that starts at 0 or 1 other values, so that nothing is hidden by the start. */
function disturb(model: ViTCoMer): ViTCoMer {
  for (const [path, variable] of namedVariables(model))
    if (/gamma|sampling_offsets|attention_weights|running_mean/.test(path))
      variable.set(randomTensor(variable.shape, path.length, -0.5, 0.5).data as Float32Array<ArrayBuffer>)
  return model
}

describe('vit-comer', () => {
  it.skipIf(!goldenExists('vit-comer.msdeform'))('agrees with the official deformable attention', async () => {
    const file = golden('vit-comer.msdeform')
    const result = await compareGolden(file, official.reproduction(file))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBeGreaterThan(10)
  })
  it.skipIf(!goldenExists('vit-comer'))('agrees with the official backbone in every output', async () => {
    const file = golden('vit-comer')
    const result = await compareGolden(file, official.reproduction(file))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    const bad = result.comparisons.filter(({ ok }) => !ok)
    expect(bad.filter(({ kind }) => kind === 'output')).toEqual([])
    // PyTorch 1.13's batch norm in eval mode reads a gradient that is not contiguous in the wrong order, and the official
    // pyramid module hands it one: gradients that pass through one of these modules are not the function's own.
    const apart = result.comparisons.find(({ name }) => /extra_CTIs\.3\.ffn\.dwconv/.test(name))
    expect(apart?.ok).toBe(true)
  })
  it.skipIf(!goldenExists('vit-comer'))(
    'has the slopes of the official function, whose values it gives: central differences in float64',
    async () => {
      const file = golden('vit-comer')
      const c = new GoldenCase(new Leaves(file), '', '')
      const model = loadViTCoMer(c.config, c.state())
      const { data, shape } = file.tensors.get('in.x')!
      const loss = model
        .forward(tensor(data, shape))
        .map((map, i) => map.mul(tensor(file.tensors.get(`cot.f${i + 1}`)!.data, map.shape)).sum())
        .reduce((a, b) => a.add(b))
      const variables = new Map<string, Variable>(namedVariables(model))
      for (const name of ['interactions.1.mrfp.dwconv.dwconv4.weight']) {
        const variable = variables.get(name)!
        const start = Float64Array.from(variable.data as Float32Array)
        const direction = start.map((_, i) => Math.sin(1.7 * i + 0.3))
        const at = (step: number): number =>
          interpret([loss], new Map([[variable, start.map((value, i) => value + step * direction[i])]]))[0].data[0]
        const [slope] = await evaluate(grad(loss, [variable]))
        const along = [...slope.numbers()].reduce((sum, value, i) => sum + value * direction[i], 0)
        const measured = (at(1e-6) - at(-1e-6)) / 2e-6
        expect(Math.abs(along - measured)).toBeLessThan(1e-4 * Math.abs(measured))
      }
    },
  )
})

describe('loadViTCoMer', () => {
  const base = { num_heads: 2, deform_num_heads: 3, img_size: 32 }
  it.each<[string, Partial<ViTCoMerOptions>, DenseVitOptions, Record<string, unknown>]>([
    ['segmentation', { vitFeatures: 'stages', pyramidRatio: 1.5 }, {}, base],
    ['detection', { vitFeatures: 'last', cnnInteraction: false }, {}, base],
    [
      'two stages, one of them silent, no features of the transformer',
      { stages: 2, toVit: [true, false], toCnn: [false, true], vitFeatures: 'none', extra: 0 },
      {},
      {
        ...base,
        interaction_indexes: [
          [0, 1],
          [2, 3],
        ],
        add_vit_feature: false,
      },
    ],
    [
      'windows, a bottleneck, no layer scale, no feed-forward',
      { feedForward: false, pyramidRatio: 1.5, valueRatio: 0.5 },
      { windows: [3, undefined, 2, 3], residuals: [1], layerScale: false, qkvBias: false },
      { ...base, window_attn: [true, false, true, true], window_size: [3, null, 2, 3] },
    ],
  ])('rebuilds a backbone from its state dict: %s', async (_, options, vit, config) => {
    const model = withSeed(7, () => disturb(new ViTCoMer(new DenseVit({ ...trunk, ...vit }), { ...small, ...options })))
    const again = loadViTCoMer(config, await stateDict(model))
    const x = random([1, 3, 64, 96])
    const maps = await evaluate([...model.forward(x), ...again.forward(x)])
    for (const i of [0, 1, 2, 3]) expect([...maps[i + 4].numbers()]).toEqual([...maps[i].numbers()])
  })
  it('leaves out pyramid modules that nothing calls', async () => {
    const model = new ViTCoMer(new DenseVit(trunk), { ...small, pyramidRatio: 1.5, toVit: [true, true, true, false] })
    const state = await stateDict(model)
    const spare = new Map([...state].map(([key, value]) => [key, value]))
    for (const [key, value] of state)
      if (key.startsWith('interactions.0.mrfp.')) spare.set(key.replace('.0.', '.3.'), value)
    expect(() => loadViTCoMer(base, spare)).not.toThrow()
  })
  it('says what does not fit', async () => {
    const state = await stateDict(new ViTCoMer(new DenseVit(trunk), small))
    expect(() => loadViTCoMer(base, new Map())).toThrow('the checkpoint has no')
    expect(() => loadViTCoMer({ ...base, depth: 5, interaction_indexes: [[0, 4]] }, state)).toThrow(/missing/)
    expect(() => loadViTCoMer({ ...base, form: 'both' }, state)).toThrow("form is 'both'")
    expect(() => loadViTCoMer({ ...base, use_CTI_toV: [true] }, state)).toThrow('true or false for each of 4')
  })
})

describe('ViTCoMer', () => {
  const images = random([2, 3, 64, 96])
  it('gives maps at strides 4, 8, 16 and 32', () => {
    const maps = new ViTCoMer(new DenseVit(trunk), small).forward(images)
    expect(maps.map(map => map.shape.slice(2))).toEqual([
      [16, 24],
      [8, 12],
      [4, 6],
      [2, 3],
    ])
  })
  it("starts from the plain transformer's own tokens", async () => {
    const vit = withSeed(5, () => new DenseVit(trunk))
    const square = random([1, 3, 32, 32])
    const { tokens } = new ViTCoMer(vit, small).encode(square)
    const [a, b] = await evaluate([tokens[tokens.length - 1], vit.forward(square)])
    near(a, b, 1e-6)
  })
  it('wraps the plain transformer of the library, through which gradients flow', async () => {
    const vit = new Vit({ channels: 1, classes: 3, size: [32, 32], patch: 16, dim: 12, depth: 2, heads: 2 })
    const dense = disturb(new ViTCoMer(vit, { ...small, stages: 2 }))
    expect(dense.blocks).toBe(vit.blocks)
    const loss = dense.forward(random([2, 1, 64, 64])).map(map => map.mul(map).sum())
    const [slope] = await evaluate(grad(loss[0], [vit.blocks[0].attn.qkv.weight]))
    expect([...slope.numbers()].some(value => value !== 0)).toBe(true)
  })
  it('takes patches of 8 when its pyramid starts at stride 2', () => {
    const vit = new DenseVit({ ...trunk, patch: 8 })
    expect(() => new ViTCoMer(vit, small)).toThrow('patches of 8 do not fit a pyramid that starts at stride 4')
    const maps = new ViTCoMer(vit, { ...small, finestStride: 2 }).forward(random([1, 3, 32, 48]))
    expect(maps[0].shape).toEqual([1, 12, 16, 24])
  })
  it('pads pictures where it is asked to', () => {
    const odd = random([1, 3, 40, 70])
    expect(() => new ViTCoMer(new DenseVit(trunk), small).forward(odd)).toThrow('no multiples of 32; resize them')
    const [f1] = new ViTCoMer(new DenseVit(trunk), { ...small, padding: true }).forward(odd)
    expect(f1.shape).toEqual([1, 12, 16, 24])
  })
  it('says what does not fit', () => {
    const built = (options: ViTCoMerOptions) => () => new ViTCoMer(new DenseVit(trunk), { ...small, ...options })
    expect(built({ stages: 3 })).toThrow('4 blocks do not divide into 3 stages')
    expect(
      built({
        stages: [
          [0, 1],
          [3, 3],
        ],
      }),
    ).toThrow('do not cover the blocks 0 to 3')
    expect(built({ stages: [[0, 2]] })).toThrow('do not cover the blocks 0 to 3')
    expect(built({ heads: 5 })).toThrow('5 heads do not divide the widths 12 and 12')
    expect(() => new ViTCoMer(new DenseVit({ ...trunk, grid: [2, 3] }), small)).toThrow('give its rows and columns')
    expect(() => new MRFP(4, 5)).toThrow('must be even')
  })
  it('adds nothing to the transformer while its factors are 0', async () => {
    const cti = new CtiToViT(12, { heads: 3 })
    const tokens = random([1, 4, 12])
    const sizes = [
      [4, 4],
      [2, 2],
      [1, 1],
    ] as const
    const [a, b] = await evaluate([cti.forward(tokens, random([1, 21, 12], 2), sizes), tokens])
    near(a, b, 0)
  })
})

describe('SimplePyramid', () => {
  it('gives the same four sizes without a second branch', () => {
    const pyramid = new SimplePyramid(new DenseVit(trunk))
    expect(pyramid.forward(random([1, 3, 32, 32])).map(map => map.shape)).toEqual([
      [1, 12, 8, 8],
      [1, 12, 4, 4],
      [1, 12, 2, 2],
      [1, 12, 1, 1],
    ])
    expect(parameterCount(pyramid)).toBeLessThan(parameterCount(new ViTCoMer(new DenseVit(trunk), small)))
  })
})

describe('the claim', () => {
  it('gives every arm parameters within 3 % of each other', () => {
    const [ours, ...others] = claim.arms.map(({ name }) => parameterCount(segmenterOf(name, 0, 11)))
    for (const count of others) expect(Math.abs(count / ours - 1)).toBeLessThan(0.03)
  })
})

describe('--model vit-comer', () => {
  it.each([
    [1, 50, 64],
    [3, 130, 160],
  ])('labels every pixel of pictures of %i channels, %ix%i', (channels, height, width) => {
    const format = { channels, size: [height, width] as const, classes: 4 }
    const kind = system.segmenters!['vit-comer']
    const network = kind.build(format, kind.defaults(format))
    expect(network.forward(placeholder('x', [2, channels, height, width])).shape).toEqual([2, 4, height, width])
  })
})
