import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../test/check.ts'
import { evaluate, tensor } from '../core/index.ts'
import { crossMerge2d, crossScan2d, crossUnscan2d, routeCount } from './cross-scan.ts'

describe('crossScan2d', () => {
  it('reads rows, columns, and both from the end', async () => {
    const map = tensor([[[[1], [2], [3]], [[4], [5], [6]]]]) // biome-ignore format: two rows of three
    const routes = await evaluate(crossScan2d(map))
    expect(routes.map(route => [...route.numbers()])).toEqual([
      [1, 2, 3, 4, 5, 6],
      [1, 4, 2, 5, 3, 6],
      [6, 5, 4, 3, 2, 1],
      [6, 3, 5, 2, 4, 1],
    ])
  })
  it.each(['forward', 'both', 'cross'] as const)(
    'merged again, is the map as often as there are routes: %s',
    async pattern => {
      for (const [height, width] of [
        [3, 5],
        [4, 2],
        [1, 6],
        [6, 1],
      ] as const) {
        const value = randomTensor([2, height, width, 3], 1)
        const map = tensor(value.data, value.shape)
        const merged = await crossMerge2d(crossScan2d(map, pattern), [height, width], pattern).value()
        const expected = value.numbers().map(x => x * routeCount(pattern))
        expectClose(merged.numbers(), expected, 1e-6, `${height}x${width}`)
      }
    },
  )
  it('names what does not fit', () => {
    expect(() => crossScan2d(tensor([1]))).toThrow('expected [batch, height, width, channels], got [1]')
    expect(() => crossUnscan2d([tensor([1])], [1, 1])).toThrow("1 sequences for the 4 routes of 'cross'")
  })
})
