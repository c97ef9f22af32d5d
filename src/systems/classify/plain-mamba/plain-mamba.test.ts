import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import { evaluate, type Tensor, tensor } from '../../../core/index.ts'
import { namedVariables, parameterCount, stateDict, withSeed } from '../../../nn/index.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import {
  ConvPatchEmbed,
  PlainMamba,
  PlainMambaBackbone,
  PlainMambaLabeller,
  type PlainMambaOptions,
} from './backbone.ts'
import { claim, labellerOf } from './claim.ts'
import { architectures, loadPlainMamba, loadPlainMambaClassifier, official } from './official.ts'
import { PlainMamba2d } from './plain-mamba-2d.ts'
import { gridPaths, snakeOrders } from './snake-orders.ts'

const random = (shape: readonly number[], seed = 1): Tensor => tensor(randomTensor(shape, seed, -1, 1).data, shape)

describe('plain-mamba', () => {
  it.skipIf(!goldenExists('plain-mamba'))('agrees with the official code in every output and gradient', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, 'plain-mamba.safetensors')), 'plain-mamba')
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBe(12)
  })
})

const grids = [
  [4, 5],
  [5, 4],
  [3, 3],
  [4, 4],
  [1, 6],
  [6, 1],
  [1, 1],
] as const

describe('snakeOrders', () => {
  it.each(grids)('visit every cell of %dx%d once, from neighbour to neighbour', (height, width) => {
    const { order, inverse } = snakeOrders(height, width)
    const cells = Array.from({ length: height * width }, (_, i) => i)
    order.forEach((path, k) => {
      expect(path.toSorted((a, b) => a - b)).toEqual(cells)
      expect(cells.map(cell => path[inverse[k][cell]])).toEqual(cells)
      for (let t = 1; t < path.length; t++) {
        const [a, b] = [path[t - 1], path[t]]
        const distance = Math.abs((a % width) - (b % width)) + Math.abs(Math.floor(a / width) - Math.floor(b / width))
        expect(distance).toBe(1)
      }
    })
  })
  it.each(grids)('come in pairs that are each other backwards on %dx%d', (height, width) => {
    const { order } = snakeOrders(height, width)
    expect(order[1]).toEqual(order[0].toReversed())
    expect(order[3]).toEqual(order[2].toReversed())
  })
  it.each(grids)('are told by their moves on %dx%d', (height, width) => {
    const { order, direction } = snakeOrders(height, width)
    const steps = [0, 1, -1, -width, width]
    order.forEach((path, k) => {
      expect(direction[k][0]).toBe(0)
      let cell = path[0]
      const told = direction[k].map(move => {
        cell += steps[move]
        return cell
      })
      // On a single column the moves down and right lead to the same neighbour by number.
      expect(told).toEqual(path)
    })
  })
  it('start where the paper says: corners that alternate with the parity of the grid', () => {
    expect(snakeOrders(4, 5).order.map(path => path[0])).toEqual([0, 15, 0, 19])
    expect(snakeOrders(5, 4).order.map(path => path[0])).toEqual([0, 19, 0, 3])
  })
  it('differ from paths that do not turn', () => {
    expect(gridPaths(2, 3, 'cross').order).toEqual([
      [0, 1, 2, 3, 4, 5],
      [5, 4, 3, 2, 1, 0],
      [0, 3, 1, 4, 2, 5],
      [5, 2, 4, 1, 3, 0],
    ])
    expect(new Set(gridPaths(2, 3, 'raster').order.map(path => path.join())).size).toBe(1)
    expect(() => snakeOrders(0, 3)).toThrow('a grid needs whole sides above 0, got 0x3')
  })
})

describe('PlainMamba2d', () => {
  it('with aligned parameters and no directions commutes with turning the picture over its diagonal', async () => {
    const [height, width, dim] = [3, 4, 6]
    const options = { states: 3, kernel: 3, directionAware: false } as const
    const mixer = withSeed(1, () => new PlainMamba2d(dim, options))
    const turned = new PlainMamba2d(dim, options)
    const from = new Map(namedVariables(mixer))
    for (const [path, variable] of namedVariables(turned)) variable.set(from.get(path)!.data.slice())
    const kernels = await mixer.conv2d.weight.swapAxes(2, 3).value()
    turned.conv2d.weight.set(kernels.data.slice())
    const x = random([2, height * width, dim])
    const flip = (t: Tensor, h: number): Tensor => t.rearrange('b (h w) d -> b (w h) d', { h })
    const [a, b] = await evaluate([
      flip(mixer.forward(x, [height, width]), height),
      turned.forward(flip(x, height), [width, height]),
    ])
    expectClose(b.numbers(), a.numbers(), 1e-5, 'turned')
  })
  it('moves step sizes, B and C along with their tokens only where asked to', async () => {
    const make = (aligned: boolean): PlainMamba2d => withSeed(2, () => new PlainMamba2d(4, { states: 2, aligned }))
    const x = random([1, 6, 4]).mul(20)
    const [a, b] = await evaluate([make(true).forward(x, [2, 3]), make(false).forward(x, [2, 3])])
    expect(a.numbers().some((value, i) => Math.abs(value - b.numbers()[i]) > 1e-6)).toBe(true)
  })
  it('refuses tokens that do not fill the grid, and even kernels', () => {
    expect(() => new PlainMamba2d(4).forward(random([1, 6, 4]), [2, 4])).toThrow(
      'expected [batch, 8, 4] for a grid of 2x4, got [1,6,4]',
    )
    expect(() => new PlainMamba2d(4, { kernel: 6 })).toThrow("the convolution's side must be odd, got 6")
    expect(() => new PlainMamba2d(5, { expand: 1.5 })).toThrow('no whole number of channels')
  })
})

const small: PlainMambaOptions = {
  channels: 3,
  size: [12, 16],
  patch: 4,
  dim: 8,
  depth: 3,
  stemWidth: 6,
  mixer: { states: 3, kernel: 3 },
}

describe('PlainMambaBackbone', () => {
  it('gives a map of any picture of at least one patch, filling up where patches do not fit', async () => {
    const model = new PlainMambaBackbone(small)
    for (const [height, width, rows, columns] of [
      [12, 16, 3, 4],
      [20, 8, 5, 2],
      [13, 17, 4, 5],
    ]) {
      const map = model.forward(random([1, 3, height, width]))
      expect(map.shape).toEqual([1, 8, rows, columns])
      expect((await map.value()).numbers().every(Number.isFinite)).toBe(true)
    }
  })
  it('refuses smaller pictures, odd patches and other channels', () => {
    expect(() => new PlainMambaBackbone({ ...small, size: [2, 16] })).toThrow('2x16 are smaller than a patch of 4')
    expect(() => new ConvPatchEmbed(3, 8, 5)).toThrow('the patch must be even, got 5')
    expect(() => new PlainMambaBackbone(small).encode(random([1, 1, 12, 16]))).toThrow('expected pictures [batch, 3,')
    expect(() => new PlainMambaBackbone({ ...small, mapsOf: [3] })).toThrow('there is no layer 3 among 3')
  })
  it('gives each patch its scores', () => {
    const labels = new PlainMambaLabeller({ ...small, classes: 5 }).forward(random([2, 3, 12, 16]))
    expect(labels.shape).toEqual([2, 5, 3, 4])
  })
})

describe('loadPlainMamba', () => {
  const official = { ...small, mixer: { ...small.mixer, aligned: false } }
  it.each<[string, Partial<PlainMambaOptions>, Record<string, unknown>]>([
    ['as released', {}, {}],
    ['depthwise convolutions, RMS norms, more convolutions', { convolvedLayers: [0, 2], norm: 'rms', convs: 2 }, {}],
    [
      'no positions, no last norm, no biases',
      { positions: false, finalNorm: false, mixer: { ...official.mixer, bias: false, layerScale: 0.1 } },
      {},
    ],
    ['maps of earlier layers', { mapsOf: [0, 2] }, { out_indices: [0, 2] }],
  ])('rebuilds a backbone from its state dict: %s', async (_, options, config) => {
    const model = withSeed(4, () => new PlainMambaBackbone({ ...official, ...options }))
    const again = loadPlainMamba({ img_size: [12, 16], ...config }, await stateDict(model))
    const x = random([2, 3, 12, 16])
    const [a, b, ...maps] = await evaluate([model.forward(x), again.forward(x), ...again.encode(x).maps])
    expect([...b.numbers()]).toEqual([...a.numbers()])
    expect(maps.length).toBe(options.mapsOf?.length ?? 1)
  })
  it('takes whole checkpoints with a classifier', async () => {
    const model = withSeed(5, () => new PlainMamba({ ...official, classes: 3 }))
    const state = await stateDict(model)
    const again = loadPlainMambaClassifier({ img_size: [12, 16] }, state)
    const x = random([2, 3, 12, 16])
    const [a, b] = await evaluate([model.forward(x), again.forward(x)])
    expect([...b.numbers()]).toEqual([...a.numbers()])
    expect(loadPlainMamba({ img_size: [12, 16] }, state).featureDim).toBe(8)
  })
  it('says what does not fit', async () => {
    const state = await stateDict(new PlainMambaBackbone(official))
    const layers = (cfg: Record<string, unknown>) => ({ img_size: [12, 16], layer_cfgs: { mamba_cfg: cfg } })
    expect(() => loadPlainMamba(layers({ d_state: 4 }), state)).toThrow(/another shape .*A_log is f32\[16,3\]/)
    expect(() => loadPlainMamba(layers({ expand: 3 }), state)).toThrow(/another shape/)
    expect(() => loadPlainMamba({ arch: 'L9' }, state)).toThrow("there is no architecture 'L9'; there are: L1, L2, L3")
    const key = 'layers.0.mamba.direction_Bs'
    const four = new Map(state).set(key, randomTensor([4, 3]))
    expect(() => loadPlainMamba({ img_size: [12, 16] }, four)).toThrow(
      'direction_Bs is f32[4,3], the model has f32[5,3]',
    )
    expect(() => loadPlainMamba({}, new Map())).toThrow('it is not one of PlainMamba')
  })
})

describe('the claim', () => {
  it('compares networks of equal parameters', () => {
    const counts = claim.arms.map(({ name }) => parameterCount(labellerOf(name, 11)))
    for (const count of counts) expect(Math.abs(count - counts[0]) / counts[0]).toBeLessThan(0.03)
  })
  it('runs in its quick form', async () => {
    const { value, losses = [] } = await claim.run(claim.arms[0].name, 1, { quick: true, progress: () => {} })
    expect(value).toBeGreaterThanOrEqual(0)
    expect(losses[losses.length - 1]).toBeLessThan(losses[0])
  }, 60_000)
})

describe('the published sizes', () => {
  // The paper cuts the digits off, and leaves the classifier out.
  it.each([
    ['L1', 7.3],
    ['L2', 25.7],
    ['L3', 50.5],
  ])("%s has the paper's parameters", (name, millions) => {
    const model = new PlainMambaBackbone({ channels: 3, size: [224, 224], ...architectures[name] })
    expect(Math.floor(parameterCount(model) / 1e5) / 10).toBe(millions)
  })
})
