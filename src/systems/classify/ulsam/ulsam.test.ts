import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../../test/check.ts'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import { concat, grad, placeholder, type Tensor, tensor } from '../../../core/index.ts'
import {
  type MobileNet,
  mobileNetV1,
  mobileNetV2,
  namedVariables,
  parameterCount,
  stateDict,
  withSeed,
} from '../../../nn/index.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { claim, networkOf, shares } from './claim.ts'
import { system } from './index.ts'
import { loadUlsam, official } from './official.ts'
import { SubspaceAttention, ULSAM } from './subspace-attention.ts'
import { attentionMaps, candidates, costOf, upgradeNetwork, withUlsam } from './with-ulsam.ts'

const given = (shape: readonly number[], seed = 3): Tensor => tensor(randomTensor(shape, seed).data, shape)
const numbers = async (t: Tensor): Promise<number[]> => [...(await t.value()).numbers()]

describe.skipIf(!goldenExists('ulsam'))('ULSAM against its official implementation', () => {
  it('agrees in every output, gradient and running statistic', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, 'ulsam.safetensors')), 'ulsam')
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBe(25)
  })
})

describe('subspace attention', () => {
  it('spreads an attention of 1 over the positions of each sample and group', async () => {
    const module = withSeed(1, () => new ULSAM(12, 3))
    const sums = await numbers(module.attend(given([2, 12, 5, 7])).sum([2, 3]))
    expectClose(sums, new Array(6).fill(1), 1e-6, 'sums')
  })
  it('is F (1 + 1/(h w)) where every logit is the same', async () => {
    const module = withSeed(1, () => new ULSAM(8, 2))
    for (const [path, v] of namedVariables(module))
      if (/conv_point.weight|bn_point.bias/.test(path)) v.set(new Float32Array(v.size))
    const x = given([2, 8, 4, 8])
    expect(await numbers(module.forward(x))).toEqual(await numbers(x.mul(1 / 32).add(x)))
  })
  it('lets a group see no other group', async () => {
    const module = withSeed(2, () => new ULSAM(6, 3))
    const x = given([1, 6, 3, 3])
    const other = concat([x.slice(1, 0, 2), given([1, 2, 3, 3], 9), x.slice(1, 4)], 1)
    const [a, b] = await Promise.all([x, other].map(t => numbers(module.forward(t))))
    expect(a.slice(0, 18)).toEqual(b.slice(0, 18))
    expect(a.slice(36)).toEqual(b.slice(36))
    expect(a.slice(18, 36)).not.toEqual(b.slice(18, 36))
  })
  it('raises positions and suppresses none', async () => {
    const module = withSeed(2, () => new SubspaceAttention(3))
    const x = given([2, 3, 4, 4]).abs()
    const raised = await numbers(module.forward(x).sub(x))
    expect(Math.min(...raised)).toBeGreaterThan(0)
  })
  it('has as many weights in its convolutions whatever the number of groups, and 5 m + 3 g parameters', () => {
    const weights = [1, 2, 4, 8, 16].map(groups => {
      const module = new ULSAM(16, groups)
      expect(parameterCount(module)).toBe(5 * 16 + 3 * groups)
      return [...namedVariables(module)]
        .filter(([path]) => /conv_.*weight/.test(path))
        .reduce((total, [, { size }]) => total + size, 0)
    })
    expect(weights).toEqual(new Array(5).fill(32))
  })
  it('loads from a state dict alone', async () => {
    const module = withSeed(4, () => new ULSAM(10, 5))
    const x = given([1, 10, 3, 4])
    const loaded = loadUlsam({}, await stateDict(module))
    expect(await numbers(loaded.forward(x))).toEqual(await numbers(module.forward(x)))
    expect(() => loadUlsam({}, new Map())).toThrow('it is not one of ULSAM')
  })
})

describe('a compact network with ULSAM', () => {
  const network = () =>
    withSeed(1, () =>
      mobileNetV1({
        channels: 1,
        classes: 3,
        stemWidth: 8,
        stemStride: 1,
        stages: [
          [16, 2],
          [16, 1],
          [16, 1],
          [24, 2],
        ],
      }),
    )
  it('saves what the list of candidates says', () => {
    const before = network()
    const found = candidates(before, [1, 16, 16], 4)
    expect(found.map(({ position }) => position)).toEqual([2, 3])
    const after = withUlsam(before, [2, 3], 4, 'replace')
    const [a, b] = [before, after].map(n => costOf(n, [1, 16, 16]))
    expect(a.parameters - b.parameters).toBe(found[0].saves.parameters + found[1].saves.parameters)
    expect(a.multiplyAdds - b.multiplyAdds).toBe(found[0].saves.multiplyAdds + found[1].saves.multiplyAdds)
    expect(found[0].saves).toEqual({ parameters: 16 * 9 + 256 + 64 - 92, multiplyAdds: 64 * (16 * 9 + 256 - 32) })
  })
  it('costs a little more where modules are inserted, and keeps the trained blocks', async () => {
    const before = network()
    const after = withUlsam(before, [2], 2, 'insert')
    expect(parameterCount(after) - parameterCount(before)).toBe(5 * 16 + 3 * 2)
    expect(after.blocks[2]).toBe(before.blocks[2])
    expect(after.blocks[3]).toBeInstanceOf(ULSAM)
    const maps = attentionMaps(after, given([2, 1, 16, 16]))
    expect([...maps].map(([position, { shape }]) => [position, shape])).toEqual([[3, [2, 2, 8, 8]]])
    expectClose(await numbers(maps.get(3)!.sum([2, 3])), [1, 1, 1, 1], 1e-6, 'sums')
  })
  it('is brought down to a wished cost, and says what it cost before and after', () => {
    const before = network()
    const { positions, ...upgrade } = upgradeNetwork(before, [1, 16, 16], { share: 0.8 })
    // The two equal blocks save the same; the deeper goes first, and is enough.
    expect(positions).toEqual([3])
    expect(upgrade.before).toEqual(costOf(before, [1, 16, 16]))
    expect(upgrade.after).toEqual(costOf(withUlsam(before, [3], 4, 'replace'), [1, 16, 16]))
    expect(upgrade.network.blocks[2]).toBe(before.blocks[2])
    expect(upgradeNetwork(before, [1, 16, 16], { share: 1 }).positions).toEqual([])
    expect(() => upgradeNetwork(before, [1, 16, 16], { share: 0.1 })).toThrow(
      'replacing all 2 blocks that keep width and size leaves 0.',
    )
  })
  it("takes MobileNetV2's bottlenecks, and gradients pass", async () => {
    const changed = withSeed(1, () =>
      withUlsam(mobileNetV2({ channels: 3, classes: 2, multiplier: 0.35 }), [12, 13], 4, 'replace'),
    )
    // A group whose logits are all below 0 learns nothing at first, so that all groups are asked.
    const weights = [...namedVariables(changed)].filter(([path]) => /conv_point\.weight$/.test(path)).map(([, v]) => v)
    expect(weights).toHaveLength(8)
    const gradients = grad(changed.forward(given([1, 3, 64, 64])).sum(), weights)
    const largest = await numbers(
      concat(
        gradients.map(gradient => gradient.flatten()),
        0,
      )
        .abs()
        .max(),
    )
    expect(largest[0]).toBeGreaterThan(0)
  })
  it('refuses what cannot be', () => {
    expect(() => new ULSAM(10, 4)).toThrow('ulsam: 4 groups do not divide 10 channels')
    expect(() => withUlsam(network(), [1], 4, 'replace')).toThrow(
      'block 1 turns 8 channels into 16 at stride 2; only a block that keeps width and size can be replaced',
    )
    expect(() => withUlsam(network(), [9], 4, 'insert')).toThrow('there is no block 9; the network has blocks 0 to 4')
    expect(() => new ULSAM(4, 2).forward(given([1, 6, 2, 2]))).toThrow('expected maps [batch, 4, height, width]')
  })
  it('warns where the maps have one position', () => {
    const told: string[] = []
    new ULSAM(4, 2, { warn: message => told.push(message) }).forward(given([1, 4, 1, 1]))
    expect(told).toEqual([expect.stringContaining('attention over one position is constant')])
  })
})

describe('the claim', () => {
  it('compares networks that cost what it says', () => {
    const { parameters, multiplyAdds } = shares()
    expect(parameters).toBeLessThanOrEqual(0.8)
    expect(multiplyAdds).toBeLessThanOrEqual(0.85)
    expect(claim.conditions!(new Map()).map(({ holds }) => holds)).toEqual([true, true])
    const [ours, full, without] = claim.arms.map(({ name }) => parameterCount(networkOf(name)))
    expect(full - without).toBe(2 * (64 * 9 + 64 * 64 + 4 * 64))
    expect(ours - without).toBe(2 * (5 * 64 + 3 * 4))
  })
})

describe('ULSAM by name', () => {
  const { defaults, build } = system.model!
  it.each([
    [1, 28, 28],
    [3, 8, 20],
    [3, 64, 64],
    [4, 96, 130],
    [3, 224, 224],
  ])('takes pictures of %d channels, %d x %d, with no map of one position', (channels, height, width) => {
    const format = { channels, size: [height, width], classes: 5 } as const
    const network = build(format, defaults(format))
    const images = placeholder('images', [2, channels, height, width])
    expect(network.forward(images).shape).toEqual([2, 5])
    const maps = attentionMaps(network as MobileNet, images)
    expect(maps.size).toBe(2)
    for (const map of maps.values()) expect(Math.min(...map.shape.slice(2))).toBeGreaterThan(1)
  })
  it('refuses pictures that are too small', () => {
    expect(() => defaults({ channels: 1, size: [7, 30], classes: 2 })).toThrow('pictures of 7x30 are too small')
  })
})
