import { describe, expect, it } from 'vitest'
import { check, expectClose, integers, randomTensor } from '../../test/check.ts'
import { add, concat, gather, interpret, matmul, max, relu, sub, swapAxes, tensor } from '../core/index.ts'
import { chamferDistance, edgeConvolution, interpolateNearest } from './points.ts'

describe('chamferDistance', () => {
  it('differentiates twice, with or without a batch', async () => {
    await check(chamferDistance, [randomTensor([2, 5, 3]), randomTensor([2, 4, 3], 2)], { second: true })
    await check(chamferDistance, [randomTensor([5, 3]), randomTensor([4, 3], 2)])
  })
  it('is zero for the same points in another order', async () => {
    const a = tensor([
      [0, 1],
      [2, 3],
      [4, 5],
    ])
    expect((await chamferDistance(a, gather(a, [2, 0, 1])).value()).item()).toBe(0)
  })
  it('knows a case worked out by hand', async () => {
    // From a: 1 and 1; from b: 1.
    expect((await chamferDistance(tensor([[0], [2]]), tensor([[1]])).value()).item()).toBe(2)
  })
})

describe('interpolateNearest', () => {
  it('gives a point its own feature, and a constant everywhere', async () => {
    const points = tensor([
      [0, 0],
      [1, 0],
      [0, 1],
      [5, 5],
    ])
    const features = tensor([[1], [2], [3], [4]])
    expectClose((await interpolateNearest(points, points, features).value()).numbers(), [1, 2, 3, 4], 1e-6, 'own')
    const constant = interpolateNearest(tensor([[0.3, 0.4]]), points, tensor([[7], [7], [7], [7]]))
    expectClose((await constant.value()).numbers(), [7], 1e-6, 'constant')
  })
  it('differentiates with respect to features and places', async () => {
    await check(
      (q, p, f) => interpolateNearest(q, p, f, 2),
      [randomTensor([2, 3, 3]), randomTensor([2, 5, 3], 2), randomTensor([2, 5, 4], 3)],
    )
  })
})

describe('edgeConvolution', () => {
  const neighbours = integers([0, 1, 1, 2, 2, 0, 3, 1, 0, 3, 1, 2, 2, 3, 3, 0], [2, 4, 2])
  it('is the layer over every edge', () => {
    const random = (shape: number[], seed: number) => tensor(randomTensor(shape, seed).data as Float32Array, shape)
    const [features, weight, bias] = [random([2, 4, 3], 1), random([5, 6], 2), random([5], 3)]
    const places = tensor(neighbours.data as BigInt64Array, [2, 4, 2])
    const near = gather(features, places, 1, { batchDims: 1 })
    const own = features.reshape([2, 4, 1, 3]).broadcastTo([2, 4, 2, 3])
    const edges = concat([own, sub(near, own)], -1)
    const slow = max(relu(add(matmul(edges, swapAxes(weight, 0, 1)), bias)), -2)
    const [a, b] = interpret([edgeConvolution(features, places, weight, bias), slow])
    expectClose(a.data, b.data, 1e-12, 'edge convolution')
  })
  it('differentiates', async () => {
    await check(
      (f, i, w, b) => edgeConvolution(f, i, w, b),
      [randomTensor([2, 4, 3]), neighbours, randomTensor([5, 6], 2), randomTensor([5], 3)],
    )
  })
  it('says which weight it wants', () => {
    expect(() => edgeConvolution(tensor([[1, 2]]), [[0]], tensor([[1, 2, 3]]))).toThrow(
      'edgeConvolution: features have 2 channels, so weight must be [out,4], got [1,3]',
    )
  })
})
