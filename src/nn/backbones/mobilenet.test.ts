import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../../test/check.ts'
import { interpret, multiplyAdds, placeholder, type Tensor, tensor } from '../../core/index.ts'
import { Linear } from '../linear.ts'
import { namedVariables, parameterCount } from '../module.ts'
import { DepthwiseSeparable, InvertedResidual, MobileNet, mobileNetV1, mobileNetV2, relu6 } from './mobilenet.ts'

const given = (shape: readonly number[]): Tensor => tensor(randomTensor(shape, 3).data, shape)
const numbers = (t: Tensor): Float64Array => interpret([t])[0].data

describe('MobileNet', () => {
  it("has torchvision's parameters and the paper's multiply-adds in its second version", () => {
    const network = mobileNetV2({ channels: 3, classes: 1000 })
    expect(parameterCount(network)).toBe(3_504_872)
    expect(multiplyAdds([network.forward(placeholder('x', [1, 3, 224, 224]))]) / 1e6).toBeCloseTo(300.8, 0)
    const names = [...namedVariables(network)].map(([name]) => name)
    expect(names).toContain('features.0.0.weight')
    expect(names).toContain('features.1.conv.0.1.running_mean')
    expect(names).toContain('features.17.conv.2.weight')
    expect(names).toContain('features.18.1.bias')
    expect(names).toContain('classifier.1.bias')
  })
  it("has the paper's parameters and multiply-adds in its first version", () => {
    const network = mobileNetV1({ channels: 3, classes: 1000 })
    expect(parameterCount(network) / 1e6).toBeCloseTo(4.2, 1)
    expect(multiplyAdds([network.forward(placeholder('x', [1, 3, 224, 224]))]) / 1e6).toBeCloseTo(569, 0)
  })
  it('scales its widths in steps of 8', () => {
    const network = mobileNetV2({ channels: 1, classes: 2, multiplier: 0.35 })
    expect(network.blocks.map(({ outChannels }) => outChannels).slice(0, 4)).toEqual([16, 8, 8, 8])
    expect(network.featureDim).toBe(1280)
  })
  it('adds the input where the shape stays, and only there', () => {
    const x = given([1, 4, 6, 6])
    const linearised = (block: InvertedResidual): Float64Array => {
      for (const [name, v] of namedVariables(block))
        if (/^conv\.3\.(weight|bias)$/.test(name)) v.set(new Float32Array(v.size))
      return numbers(block.forward(x))
    }
    expectClose(linearised(new InvertedResidual(4, 4, 1, 2)), numbers(x), 1e-12, 'identity')
    expect(new Set(linearised(new InvertedResidual(4, 6, 1, 2)))).toEqual(new Set([0]))
    expect(new InvertedResidual(4, 4, 2, 2).forward(x).shape).toEqual([1, 4, 3, 3])
  })
  it('keeps the parameters of blocks that stay when others are exchanged', () => {
    const network = mobileNetV1({
      channels: 1,
      classes: 3,
      stemWidth: 4,
      stages: [
        [4, 1],
        [4, 1],
      ],
    })
    const shorter = network.withBlocks(network.blocks.slice(0, 2))
    const [before, after] = [network, shorter].map(m => new Map(namedVariables(m)))
    expect(after.get('features.1.depthwise.0.weight')).toBe(before.get('features.1.depthwise.0.weight'))
    expect(after.get('classifier.1.weight')).toBe(before.get('classifier.1.weight'))
    expect(after.has('features.2.depthwise.0.weight')).toBe(false)
  })
  it('clips at 6', () => {
    expect([...numbers(relu6(tensor([-1, 3, 9])))]).toEqual([0, 3, 6])
  })
  it('refuses widths that do not fit and pictures of other channels', () => {
    const blocks = [new DepthwiseSeparable(2, 4), new DepthwiseSeparable(3, 4)]
    expect(() => new MobileNet(blocks, new Linear(4, 2))).toThrow('block 1 takes 3 channels, the one before gives 4')
    expect(() => new MobileNet([blocks[0]], new Linear(5, 2))).toThrow('takes 5 features, there are 4')
    expect(() => mobileNetV1({ channels: 3, classes: 2 }).forward(given([1, 1, 32, 32]))).toThrow(
      'expected pictures [batch, 3, height, width], got [1,1,32,32]',
    )
  })
})
