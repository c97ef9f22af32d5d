import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import { evaluate, grad, placeholder, simplify, type Tensor, tensor, topologicalOrder } from '../../../core/index.ts'
import { Attention, BiMambaMixer, type Module, parameterCount, stateDict, withSeed } from '../../../nn/index.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { claim, labellerOf } from './claim.ts'
import { embedPictures } from './embed.ts'
import { loadVim, official } from './official.ts'
import { Vim, VimEncoder, type VimEncoderOptions, VimLabeller } from './vim.ts'

const small: VimEncoderOptions = {
  channels: 3,
  size: [12, 16],
  patch: 4,
  dim: 8,
  depth: 2,
  mixer: { states: 3 },
}
const pictures = (height: number, width: number, seed = 1, channels = 3): Tensor => {
  const shape = [2, channels, height, width]
  return tensor(randomTensor(shape, seed, -1, 1).data, shape)
}

describe.each(['vision-mamba', 'vision-mamba.scan'])('%s', name => {
  it.skipIf(!goldenExists(name))('agrees with the official code in every output and gradient', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, `${name}.safetensors`)), name)
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBeGreaterThan(10)
  })
})

describe('loadVim', () => {
  it.each<[string, Partial<VimEncoderOptions>, Record<string, unknown>]>([
    ['as released', {}, {}],
    [
      'one direction, class token first',
      { directions: 'forward', classToken: 'first' },
      { use_middle_cls_token: false },
    ],
    ['v1 with a learned scale', { directions: 'sharedBoth', layerScale: 0.1 }, {}],
    ['two class tokens and layer norms', { classToken: 'ends', norm: 'layer' }, {}],
    [
      'pairs of one-way blocks, mean over tokens',
      { directions: 'forward', paired: true, classToken: 'none' },
      { if_bidirectional: true, final_pool_type: 'mean' },
    ],
    ['rotary positions instead of learned ones', { size: [16, 16], positions: false, rotary: {} }, { img_size: 16 }],
    ['overlapping patches', { stride: 2 }, { stride: 2 }],
  ])('rebuilds a model from its state dict: %s', async (_, options, config) => {
    const model = withSeed(7, () => new Vim({ ...small, ...options, classes: 5 }))
    const size = (options.size ?? small.size) as [number, number]
    const again = loadVim({ img_size: size, ...config }, await stateDict(model))
    const x = pictures(...size)
    const [a, b] = await evaluate([model.forward(x), again.forward(x)])
    expect([...b.numbers()]).toEqual([...a.numbers()])
    expect(a.shape).toEqual([2, 5])
  })
  it('says what does not fit', async () => {
    const state = await stateDict(new Vim({ ...small, classes: 5 }))
    expect(() => loadVim({ img_size: [12, 16], depth: 3 }, state)).toThrow(
      /state dict does not fit the model: .*missing/,
    )
    expect(() => loadVim({}, new Map())).toThrow("the checkpoint has no 'patch_embed.proj.weight'")
    expect(() => loadVim({ bimamba_type: 'v3' }, state)).toThrow("bimamba_type is 'v3'")
  })
})

describe('VimEncoder', () => {
  it('gives a token for every patch, and the class token apart', () => {
    const { tokens, cls, grid } = new VimEncoder(small).encode(pictures(12, 16))
    expect([tokens.shape, cls.shape, grid]).toEqual([
      [2, 12, 8],
      [2, 8],
      [3, 4],
    ])
  })
  it('scans both ways: the class token in the middle sees the first and the last patch', async () => {
    const x = placeholder('x', [2, 3, 12, 16])
    const [gradient] = grad(new VimEncoder(small).features(x).sum(), [x])
    const { Program } = await import('../../../core/index.ts')
    const program = await Program.compile([x], [gradient])
    const [value] = await program.run([randomTensor(x.shape, 1)])
    await program.release()
    const at = (row: number, column: number): number => Math.abs(value.numbers()[row * 16 + column])
    expect(at(0, 0)).toBeGreaterThan(0)
    expect(at(11, 15)).toBeGreaterThan(0)
  })
  it('takes larger pictures with stretched positions when asked to, and refuses them otherwise', async () => {
    const model = withSeed(3, () => new VimEncoder({ ...small, interpolate: true }))
    const state = await stateDict(model)
    const larger = model.encode(pictures(24, 32))
    expect(larger.tokens.shape).toEqual([2, 48, 8])
    expect((await larger.cls.value()).numbers().every(Number.isFinite)).toBe(true)
    expect(() => loadVim({ img_size: [12, 16] }, state).encode(pictures(24, 32))).toThrow(
      'pictures are 24x32 but the positions are those of 12x16; set interpolate to stretch them',
    )
  })
  it('spreads the rate of dropped branches with a shift of one block', () => {
    const model = new VimEncoder({ ...small, depth: 4, dropPath: 0.3 })
    expect(model.layers.map(layer => Number(layer.drop_path.rate.toFixed(3)))).toEqual([0, 0, 0.1, 0.2])
  })
  it('refuses pictures that patches do not fit, other channels, and odd pairs', () => {
    expect(() => new VimEncoder({ ...small, size: [13, 16] })).toThrow('pictures of 13x16 do not fit patches of 4x4')
    expect(() => new VimEncoder(small).encode(pictures(12, 16, 1, 1))).toThrow(
      'expected pictures [batch, 3, height, width]',
    )
    expect(() => new VimEncoder({ ...small, depth: 3, paired: true })).toThrow('paired blocks need an even depth')
    expect(() => new VimEncoder({ ...small, dim: 5, mixer: { expand: 1.5 } })).toThrow('no whole number of channels')
  })
})

describe('embedPictures', () => {
  const model = withSeed(2, () => new VimEncoder(small))
  it('gives a vector for every picture', async () => {
    const vectors = await embedPictures(model, randomTensor([3, 3, 12, 16]))
    expect(vectors.shape).toEqual([3, 8])
  })
  it('refuses values that are not finite, naming the picture', async () => {
    const pictures = randomTensor([2, 3, 12, 16])
    pictures.data[3 * 12 * 16 + 5] = Number.NaN
    await expect(embedPictures(model, pictures)).rejects.toThrow('picture 1 holds NaN at value 5')
    await expect(embedPictures(model, randomTensor([3, 12, 16]))).rejects.toThrow('got [3,12,16]')
  })
})

describe('VimLabeller', () => {
  it('gives every patch its scores', () => {
    const labels = new VimLabeller({ ...small, classes: 4 }).forward(pictures(12, 16))
    expect(labels.shape).toEqual([2, 4, 3, 4])
  })
})

/** Elements of everything that a training step of `module` on a sequence computes: what a runtime must hold at most. */
function elements(module: Module & { forward(x: Tensor): Tensor }, dim: number, length: number): number {
  const x = placeholder('x', [1, length, dim])
  const nodes = topologicalOrder(simplify(grad(module.forward(x).sum(), [x])))
  return nodes.flatMap(({ outputs }) => outputs).reduce((most, { size }) => most + size, 0)
}

describe('memory', () => {
  it('of a training step grows with the length for Mamba and with its square for attention', () => {
    const mamba = new BiMambaMixer(16, { states: 8 })
    const growth = elements(mamba, 16, 1024) / elements(mamba, 16, 256)
    expect(growth).toBeGreaterThan(3.8)
    expect(growth).toBeLessThan(4.2)
    const attention = new Attention(16, 4)
    expect(elements(attention, 16, 1024) / elements(attention, 16, 256)).toBeGreaterThan(10)
  })
})

describe('the claim', () => {
  it('compares networks of equal parameters', () => {
    const [a, b] = claim.arms.map(({ name }) => parameterCount(labellerOf(name, 11)))
    expect(Math.abs(a - b) / a).toBeLessThan(0.03)
  })
  it('runs in its quick form', async () => {
    const fractions: number[] = []
    const context = { quick: true, progress: (fraction: number) => fractions.push(fraction) }
    const { value, losses = [] } = await claim.run(claim.arms[0].name, 1, context)
    expect(value).toBeGreaterThanOrEqual(0)
    expect(losses[losses.length - 1]).toBeLessThan(losses[0])
    expect(fractions[fractions.length - 1]).toBe(1)
  }, 60_000)
})

describe('the published sizes', () => {
  it.each([
    ['Tiny', 192, 7],
    ['Small', 384, 26],
    ['Base', 768, 98],
  ])("%s has the paper's parameters", (_, dim, millions) => {
    const model = new Vim({ channels: 3, size: [224, 224], dim, classes: 1000 })
    expect(Math.round(parameterCount(model) / 1e6)).toBe(millions)
  })
})
