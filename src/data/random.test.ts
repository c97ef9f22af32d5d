import { describe, expect, it } from 'vitest'
import { philox4x32, RandomStream, shuffledOrder } from './random.ts'

const hex = (words: Uint32Array) => [...words].map(word => word.toString(16).padStart(8, '0')).join(' ')

describe('philox4x32', () => {
  // Known answers published with the authors' Random123 library.
  it.each([
    ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('counter %s, key %s gives the published block', (counter, key, expected) => {
    const words = (text: string) => Uint32Array.from(text.split(' '), word => Number.parseInt(word, 16))
    const out = new Uint32Array(4)
    philox4x32(words(counter), words(key), out)
    expect(hex(out)).toBe(expected)
  })
})

describe('RandomStream', () => {
  it('is a pure function of seed, purpose, epoch and index', () => {
    const draws = (...key: [number, number, number, number]) => {
      const stream = new RandomStream(...key)
      return Array.from({ length: 9 }, () => stream.uint32()).join()
    }
    const keys: [number, number, number, number][] = [
      [7, 1, 0, 0],
      [8, 1, 0, 0],
      [7, 2, 0, 0],
      [7, 1, 1, 0],
      [7, 1, 0, 1],
      [7 + 2 ** 32, 1, 0, 0],
      [-7, 1, 0, 0],
    ]
    expect(new Set(keys.map(key => draws(...key))).size).toBe(keys.length)
    for (const key of keys) expect(draws(...key)).toBe(draws(...key))
  })

  it('refuses a seed that is not an integer', () => {
    expect(() => new RandomStream(0.5, 1)).toThrow('seed: expected an integer up to 2^53 - 1, got 0.5.')
  })

  it('draws every integer below the bound about equally often', () => {
    const stream = new RandomStream(1, 1)
    const counts = new Array<number>(7).fill(0)
    for (let draw = 0; draw < 70_000; draw++) counts[stream.integer(7)]++
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  })

  it('has the moments of the normal and beta distributions', () => {
    const stream = new RandomStream(3, 1)
    const moments = (draw: () => number) => {
      const values = Array.from({ length: 40_000 }, draw)
      const mean = values.reduce((sum, value) => sum + value) / values.length
      return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length }
    }
    const normal = moments(() => stream.normal())
    expect(normal.mean).toBeCloseTo(0, 1)
    expect(normal.variance).toBeCloseTo(1, 1)
    // Beta(a, a) has variance 1 / (4 (2a + 1)).
    for (const a of [0.2, 1, 4]) {
      const beta = moments(() => stream.beta(a, a))
      expect(Math.abs(beta.mean - 0.5)).toBeLessThan(0.01)
      expect(Math.abs(beta.variance - 1 / (4 * (2 * a + 1)))).toBeLessThan(0.005)
    }
    expect([0, 1]).toContain(stream.beta(1e-6, 1e-6))
  })

  it('shuffles into a permutation that differs from epoch to epoch and repeats for the same epoch', () => {
    const order = shuffledOrder(1000, 5, 2)
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, index) => index))
    expect(shuffledOrder(1000, 5, 2)).toEqual(order)
    expect(shuffledOrder(1000, 5, 3)).not.toEqual(order)
    expect(shuffledOrder(1000, 6, 2)).not.toEqual(order)
  })
})
