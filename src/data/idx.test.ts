import { describe, expect, it } from 'vitest'
import { parseIdx } from './idx.ts'

const idx = (...bytes: number[]) => Uint8Array.from(bytes)

describe('parseIdx', () => {
  it('reads dimensions and elements, from any place in a buffer', () => {
    const whole = idx(9, 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6)
    const { dimensions, values } = parseIdx(whole.subarray(1), 'a')
    expect(dimensions).toEqual([2, 3])
    expect([...values]).toEqual([1, 2, 3, 4, 5, 6])
  })

  it.each([
    ['no bytes', idx(), 'a: not an IDX file'],
    ['another format', idx(0x50, 0x4b, 3, 4, 0, 0, 0, 0), 'a: not an IDX file'],
    ['half a header', idx(0, 0, 8, 2, 0, 0, 0, 2, 0, 0), 'a: not an IDX file'],
    ['floats', idx(0, 0, 0x0d, 1, 0, 0, 0, 1, 0), 'a: holds IDX elements of type 0xd; expected unsigned bytes'],
    ['too few elements', idx(0, 0, 8, 1, 0, 0, 0, 3, 1, 2), 'a: holds 2 elements, but its header promises 3 ([3])'],
    ['too many elements', idx(0, 0, 8, 1, 0, 0, 0, 1, 1, 2), 'a: holds 2 elements, but its header promises 1 ([1])'],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parseIdx(bytes, 'a')).toThrow(message)
  })
})
