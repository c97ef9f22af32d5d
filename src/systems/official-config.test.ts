import { describe, expect, it } from 'vitest'
import { OfficialConfig } from './official-config.ts'

describe('OfficialConfig', () => {
  const config = new OfficialConfig('vim', {
    depth: 3,
    printed: '12',
    flag: 'True',
    off: 'None',
    nothing: null,
    kernels: '[[3, 3], (5, 5,)]',
    name: 'v2',
    inner: { expand: 2 },
    kwargs: "{'eps': 1e-05, 'affine': True}",
  })
  it('reads values of JSON and texts as Python prints them', () => {
    expect(config.number('depth')).toBe(3)
    expect(config.number('printed')).toBe(12)
    expect(config.boolean('flag', false)).toBe(true)
    expect(config.pairs('kernels', [])).toEqual([
      [3, 3],
      [5, 5],
    ])
    expect(config.pair('depth')).toEqual([3, 3])
    expect(config.lists('kernels')).toEqual([
      [3, 3],
      [5, 5],
    ])
    expect(config.lists('absent', [[1], [2, 3]])).toEqual([[1], [2, 3]])
    expect(config.text('name', '')).toBe('v2')
    expect(config.record('inner').number('expand')).toBe(2)
    expect(config.record('kwargs').number('eps')).toBe(1e-5)
    expect(config.record('kwargs').boolean('affine', false)).toBe(true)
  })
  it('falls back where a value is absent or None', () => {
    expect(config.number('off', 7)).toBe(7)
    expect(config.numbers('nothing', [1, 2])).toEqual([1, 2])
    expect(config.has('off')).toBe(false)
    expect(config.record('absent').number('expand', 4)).toBe(4)
  })
  it('says what was given and what was expected', () => {
    expect(() => config.number('name')).toThrow(`vim: 'name' is "v2", expected a number`)
    expect(() => config.number('absent')).toThrow(`vim: 'absent' is undefined, expected a number`)
    expect(() => config.boolean('depth', true)).toThrow('expected true or false')
    expect(() => config.record('depth')).toThrow('expected named values')
  })
})
