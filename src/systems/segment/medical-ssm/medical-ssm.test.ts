import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import { evaluate, grad, hostTensor, placeholder, type Tensor, tensor } from '../../../core/index.ts'
import { namedParameters, parameterCount, selectiveScan, stateDict, withSeed } from '../../../nn/index.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { claim, segmenterOf } from './claim.ts'
import { bceDiceLoss, ceDiceLoss } from './losses.ts'
import { ssmUnet } from './network.ts'
import { loadSs2d, loadUMamba, loadVmUnet, official } from './official.ts'
import { S4Layer, type S4System, s4Convolve, s4Kernel, s4Recurrence, s4Start, s4Step } from './s4.ts'
import { selectiveCopying } from './selective-copying.ts'
import { SS2D } from './ss2d.ts'
import { MambaLayer, UMambaBot, UMambaEnc } from './u-mamba.ts'
import { PatchExpand, PatchMerging, VMUNet, VSSBlock } from './vm-unet.ts'

const random = (shape: readonly number[], seed = 1): Tensor => tensor(randomTensor(shape, seed, -1, 1).data, shape)

describe.each([
  ['medical-ssm.s4', 13],
  ['medical-ssm.ss2d', 12],
  ['medical-ssm.vmunet', 8],
  ['medical-ssm.umamba', 12],
  ['medical-ssm.losses', 4],
])('%s', (name, count) => {
  it.skipIf(!goldenExists(name))('agrees with its reference in every output and gradient', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, `${name}.safetensors`)), name)
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBe(count)
  })
})

describe('official', () => {
  it('refuses a golden of another system', () => {
    const metadata = { system: 'medical-ssm', what: '', config: {} }
    expect(() => official.reproduction({ name: 'other', metadata, tensors: new Map() })).toThrow(
      'other: no part of medical-ssm knows the tensors of this golden',
    )
  })
})

describe('S4', () => {
  it.each(['complex', 'real'] as const)(
    'with %s states: convolution, recurrence and single steps agree',
    async kind => {
      const { system } = withSeed(1, () => new S4Layer(3, { states: 4, kind }))
      const u = random([2, 3, 12])
      let state = s4Start(system, 2)
      const steps: Tensor[] = []
      for (let t = 0; t < 12; t++) {
        const step = s4Step(system, state, u.at(null, null, t))
        steps.push(step.output)
        state = step.state
      }
      const [convolved, recurrent, ...single] = await evaluate([
        s4Convolve(u, s4Kernel(system, 12), system.D),
        s4Recurrence(system, u).output,
        ...steps,
      ])
      expectClose(recurrent.numbers(), convolved.numbers(), 1e-5, 'recurrence')
      single.forEach((step, t) => {
        const expected = convolved.numbers().filter((_, i) => i % 12 === t)
        expectClose(step.numbers(), expected, 1e-5, `step ${t}`)
      })
    },
  )
  it('answers an impulse with its kernel', async () => {
    const { system } = withSeed(2, () => new S4Layer(2, { states: 3 }))
    const impulse = tensor(
      Float32Array.from({ length: 16 }, (_, i) => Number(i % 8 === 0)),
      [1, 2, 8],
    )
    const [answer, kernel] = await evaluate([
      s4Recurrence({ ...system, D: undefined }, impulse).output,
      s4Kernel(system, 8),
    ])
    expectClose(answer.numbers(), kernel.numbers(), 1e-5, 'impulse')
  })
  it('is what the selective scan with constant steps is, but for how the input is held', async () => {
    const [channels, states, length] = [2, 3, 10]
    const a = Float32Array.from({ length: channels * states }, (_, i) => -0.5 - i)
    const step = 0.3
    // The scan lets the input in by Euler: Delta B. Zero-order hold would give (e^(Delta A) - 1) / A B, so B is chosen to make up for it.
    const held = Float32Array.from(a, value => (step * value) / Math.expm1(step * value))
    const ones = (shape: readonly number[]): Tensor =>
      tensor(new Float32Array(shape.reduce((x, y) => x * y)).fill(1), shape)
    const system: S4System = {
      step: tensor(new Float32Array(channels).fill(step), [channels]),
      A: { re: tensor(a, [channels, states]) },
      B: { re: tensor(held, [channels, states]) },
      C: { re: ones([channels, states]) },
    }
    const u = random([2, channels, length])
    const delta = tensor(new Float32Array(2 * channels * length).fill(step), u.shape)
    const each = ones([2, states, length])
    const [s4, s6] = await evaluate([
      s4Convolve(u, s4Kernel(system, length)),
      selectiveScan(u, delta, tensor(a, [channels, states]), each, each).output,
    ])
    expectClose(s6.numbers(), s4.numbers(), 1e-5, 'constant steps')
  })
  it('starts with the decays of S4D', () => {
    const layer = new S4Layer(1, { states: 3 })
    expectClose([...layer.A_imag!.data].map(Number), [0, Math.PI, 2 * Math.PI], 1e-6, 'frequencies')
    const real = new S4Layer(1, { states: 3, kind: 'real' })
    expectClose(
      [...real.log_A_real.data].map(value => -Math.exp(Number(value))),
      [-1, -2, -3],
      1e-6,
      'decays',
    )
    expect(() => s4Convolve(random([1, 2, 4]), random([2, 5]))).toThrow('expected [batch, 2, 5], got [1,2,4]')
  })
})

describe('SS2D', () => {
  it.each(['forward', 'both', 'cross'] as const)(
    'with the scan %s keeps the shape and reaches every parameter',
    async scan => {
      const block = withSeed(1, () => new SS2D(4, { states: 2, scan }))
      const y = block.forward(random([2, 3, 5, 4]))
      expect(y.shape).toEqual([2, 3, 5, 4])
      const gradients = await evaluate(grad(y.mul(random(y.shape, 2)).sum(), [...namedParameters(block).values()]))
      for (const gradient of gradients) expect(gradient.numbers().some(value => value !== 0)).toBe(true)
    },
  )
  it('is rebuilt from its state dict', async () => {
    const block = withSeed(2, () => new SS2D(6, { states: 3, kernel: 5, bias: true }))
    const again = loadSs2d({}, await stateDict(block))
    const x = random([1, 4, 4, 6])
    const [a, b] = await evaluate([block.forward(x), again.forward(x)])
    expect([...b.numbers()]).toEqual([...a.numbers()])
    expect(() => loadSs2d({}, new Map())).toThrow('it is not one of SS2D')
    expect(() => block.forward(random([1, 4, 4, 5]))).toThrow('expected [batch, height, width, 6]')
  })
})

const tiny = { classes: 3, dims: [8, 16, 32], depths: [1, 2, 1], depthsDecoder: [1, 1, 1], states: 2 }

describe('VMUNet', () => {
  it('labels every pixel, of gray pictures too, and tells probabilities', async () => {
    const model = withSeed(1, () => new VMUNet(tiny))
    const [gray, coloured] = await evaluate([
      model.probabilities(random([1, 1, 16, 32])),
      model.forward(random([2, 3, 16, 16])),
    ])
    expect(gray.shape).toEqual([1, 3, 16, 32])
    expect(coloured.shape).toEqual([2, 3, 16, 16])
    const total = [0, 512, 1024].reduce((sum, at) => sum + gray.numbers()[at], 0)
    expectClose([total], [1], 1e-5, 'probabilities of one pixel')
    const one = await new VMUNet({ ...tiny, classes: 1 }).probabilities(random([1, 3, 16, 16])).value()
    expect(one.numbers().every(p => p > 0 && p < 1)).toBe(true)
  })
  it('is rebuilt from its state dict, under either prefix', async () => {
    const model = withSeed(2, () => new VMUNet(tiny))
    const state = await stateDict(model)
    const prefixed = new Map([...state].map(([key, value]) => [`vmunet.${key}`, value]))
    const x = random([1, 3, 16, 16])
    const [a, b] = await evaluate([model.forward(x), loadVmUnet({}, prefixed).forward(x)])
    expect([...b.numbers()]).toEqual([...a.numbers()])
    expect(() => loadVmUnet({ num_classes: 2 }, state)).toThrow(/another shape/)
  })
  it('refuses sides that the stages do not divide, and widths that do not double', () => {
    expect(() => new VMUNet(tiny).forward(random([1, 3, 16, 24]))).toThrow('both sides must be multiples of 16')
    expect(() => new VMUNet({ ...tiny, dims: [8, 16, 24] })).toThrow('twice as wide as the one before')
    expect(() => new PatchMerging(4).forward(random([1, 3, 4, 4]))).toThrow('3x4 cells do not pair up')
    expect(() => new VMUNet({ ...tiny, depths: [1, 1] })).toThrow('3 widths but depths [1,1]')
    expect(() => new PatchExpand(5)).toThrow('2 does not divide the width 5')
  })
  it('merges the four cells of a square and takes them apart again', () => {
    const map = random([2, 4, 6, 8])
    const merged = new PatchMerging(8).forward(map)
    expect(merged.shape).toEqual([2, 2, 3, 16])
    expect(new PatchExpand(16).forward(merged).shape).toEqual([2, 4, 6, 8])
    expect(new VSSBlock(8).forward(map).shape).toEqual([2, 4, 6, 8])
  })
  it('of the ISIC configuration has 27.4 million parameters', () => {
    expect(parameterCount(new VMUNet({ classes: 1 })) / 1e6).toBeCloseTo(27.43, 2)
  })
})

const unet = { channels: 1, classes: 2, widths: [4, 6, 8] }

describe('U-Mamba', () => {
  it('gives scores at every resolution, the full one first', () => {
    const scores = new UMambaBot(unet).deepScores(random([2, 1, 8, 12]))
    expect(scores.map(({ shape }) => shape)).toEqual([
      [2, 2, 8, 12],
      [2, 2, 4, 6],
    ])
  })
  it('lets all of the deepest map pass Mamba', async () => {
    const model = withSeed(1, () => new UMambaBot(unet))
    const layer = model.mamba_layer as MambaLayer
    const x = random([1, 1, 8, 8])
    layer.mamba.out_proj.weight.set(new Float32Array(layer.mamba.out_proj.weight.size))
    const input = placeholder('map', [1, 8, 2, 2])
    expect((await layer.forward(random(input.shape)).value()).numbers().every(value => value === 0)).toBe(true)
    expect(model.forward(x).shape).toEqual([1, 2, 8, 8])
  })
  it.each<[string, () => UMambaBot | UMambaEnc]>([
    ['bottleneck', () => new UMambaBot({ ...unet, blocks: [2, 1, 1], blocksDecoder: [2, 1], convBias: false })],
    ['encoder', () => new UMambaEnc({ ...unet, size: [8, 8] })],
  ])('is rebuilt from its state dict: %s', async (_, make) => {
    const model = withSeed(3, make)
    const state = await stateDict(model)
    // As official checkpoints do, which hold the encoder a second time inside the decoder.
    for (const [key, value] of [...state]) if (key.startsWith('encoder.')) state.set(`decoder.${key}`, value)
    const again = loadUMamba({}, state, [8, 8])
    const x = random([1, 1, 8, 8])
    const [a, b] = await evaluate([model.forward(x), again.forward(x)])
    expect([...b.numbers()]).toEqual([...a.numbers()])
  })
  it('reads channels as tokens where a map has no more positions than channels, at the size it was built for', () => {
    const model = new UMambaEnc({ ...unet, size: [8, 8] })
    expect(model.encoder.mamba_layers?.map(layer => (layer instanceof MambaLayer ? layer.dim : null))).toEqual([
      4,
      null,
      4,
    ])
    expect(() => model.forward(random([1, 1, 16, 16]))).toThrow(
      'this layer reads channels as tokens of 4 positions, but the map is 4x4',
    )
  })
  it('refuses sides that the strides do not divide, and lists of other lengths', () => {
    expect(() => new UMambaBot(unet).forward(random([1, 1, 8, 10]))).toThrow('multiples of 4 and 4')
    expect(() => new UMambaBot({ ...unet, strides: [1, 2] })).toThrow('3 stages need 3 strides, got 2')
    expect(() => loadUMamba({ norm_op: 'BatchNorm2d' }, new Map())).toThrow('has InstanceNorm2d')
    expect(() => loadUMamba({}, new Map(), [8, 8])).toThrow(/the checkpoint has no '/)
  })
})

describe('ssmUnet', () => {
  it.each([
    ['s6', 'cross', 'bottleneck'],
    ['s6', 'both', 'encoder'],
    ['s4', 'forward', 'everywhere'],
    ['s4', 'cross', 'none'],
  ] as const)('builds %s with the scan %s at %s', async (core, scan, placement) => {
    const model = withSeed(1, () => ssmUnet({ ...unet, core, scan, placement, states: 2 }))
    const [scores] = await evaluate([model.forward(random([1, 1, 8, 8]))])
    expect(scores.shape).toEqual([1, 2, 8, 8])
    expect(scores.numbers().every(Number.isFinite)).toBe(true)
  })
  it('names what there is', () => {
    expect(() => ssmUnet({ ...unet, core: 's5' as 's4' })).toThrow("there is no core 's5'; there are: s6, s4")
  })
})

describe('losses', () => {
  it('of perfect answers are next to nothing, of wrong ones large', async () => {
    const target = hostTensor(new Float32Array([1, 0, 0, 1]), [1, 1, 2, 2])
    const truth = tensor(target.data, target.shape)
    const [right, wrong] = await evaluate([bceDiceLoss(truth, truth), bceDiceLoss(truth.neg().add(1), truth)])
    expect(right.item()).toBeCloseTo(0, 5)
    expect(wrong.item()).toBeGreaterThan(50)
    const labels = tensor(new Int32Array([0, 1, 1, 0]), [1, 2, 2])
    const logits = tensor(new Float32Array([9, -9, -9, 9, -9, 9, 9, -9]), [1, 2, 2, 2])
    const [good, bad] = await evaluate([ceDiceLoss(logits, labels), ceDiceLoss(logits.neg(), labels)])
    expect(good.item()).toBeCloseTo(0, 4)
    expect(bad.item()).toBeGreaterThan(1)
  })
  it('refuse masks of another size than the picture', () => {
    expect(() => bceDiceLoss(random([1, 1, 2, 2]), random([1, 1, 2, 3]))).toThrow(
      'targets are [1,1,2,3], expected [1,1,2,2]',
    )
    expect(() => ceDiceLoss(random([1, 2, 2, 2]), tensor(new Int32Array(6), [1, 2, 3]))).toThrow(
      'labels are [1,2,3], expected [1,2,2]',
    )
  })
})

describe('the claim', () => {
  it('compares networks of equal parameters', () => {
    const [a, b, c] = claim.arms.map(({ name }) => parameterCount(segmenterOf(name)))
    expect(Math.abs(a - b) / a).toBeLessThan(0.03)
    expect(Math.abs(a - c) / a).toBeLessThan(0.05)
  })
  it('runs in its quick form', async () => {
    const { value, losses = [] } = await claim.run(claim.arms[1].name, 1, { quick: true, progress: () => {} })
    expect(value).toBeGreaterThanOrEqual(0)
    expect(losses[losses.length - 1]).toBeLessThan(losses[0])
  }, 60_000)
})

describe('selectiveCopying', () => {
  it('trains either core for a few steps', async () => {
    for (const core of ['s4', 's6'] as const) {
      const right = await selectiveCopying(core, { steps: 2, batch: 4, length: 16, letters: 4 })
      expect(right).toBeGreaterThanOrEqual(0)
      expect(right).toBeLessThan(60)
    }
    await expect(selectiveCopying('s4', { length: 10 })).rejects.toThrow('8 letters have no room in 10 places')
  })
})
