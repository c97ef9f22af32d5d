import { describe, expect, it } from 'vitest'
import { expectClose, randomTensor } from '../../test/check.ts'
import { evaluate, tensor } from '../core/index.ts'
import { withSeed } from './initialise.ts'
import { Attention } from './transformer.ts'
import { WindowAttention } from './window-attention.ts'

const random = (shape: number[], seed = 1) => tensor(randomTensor(shape, seed, -1, 1).data, shape)

describe('WindowAttention', () => {
  const windowed = (window: number) => withSeed(3, () => new WindowAttention(8, 2, window))
  const x = random([2, 24, 8])

  it('is full attention when one window holds all', async () => {
    const full = withSeed(3, () => new Attention(8, 2))
    const square = random([2, 16, 8], 4)
    const [a, b] = await evaluate([windowed(4).forward(square, [4, 4]), full.forward(square)])
    expectClose(a.numbers(), b.numbers(), 1e-5, 'full attention')
  })
  it('does not look out of a window', async () => {
    const far = tensor(
      Float32Array.from({ length: 24 * 8 }, (_, i) => (Math.floor(i / 8) % 6 >= 2 ? 1 : 0)),
      [1, 24, 8],
    )
    const first = (t: typeof x) => windowed(2).forward(t, [4, 6]).at(null, 0)
    const [a, b] = await evaluate([first(x), first(x.add(far))])
    expectClose(b.numbers(), a.numbers(), 1e-6, 'first token')
  })
  it('pads a grid that does not divide', () => {
    expect(windowed(5).forward(x, [4, 6]).shape).toEqual([2, 24, 8])
  })
  it('says when the heads do not divide the width', () => {
    expect(() => new WindowAttention(8, 3)).toThrow('3 heads do not divide the width 8')
  })
})
