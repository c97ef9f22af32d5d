import { describe, expect, it } from 'vitest'
import { checkMixOptions, type MixOptions, mixBatch } from './mix.ts'

const shape = [1, 8, 8]
const size = 64
const draw = { seed: 1, epoch: 0, batch: 0 }

/** Row r is filled with the value r and has label r; the last row is padding. */
function mixed(options: MixOptions, batch = 0) {
  const inputs = Float32Array.from({ length: 5 * size }, (_, at) => (at < 4 * size ? Math.floor(at / size) : 0))
  const labels = Int32Array.of(0, 1, 2, 3, 0)
  const targets = mixBatch(inputs, shape, labels, Int32Array.of(0, 1, 2, 3), 4, options, { ...draw, batch })
  const row = (values: Float32Array, index: number, width: number) => [
    ...values.subarray(index * width, (index + 1) * width),
  ]
  return {
    inputs,
    targets,
    inputRow: (r: number) => row(inputs, r, size),
    targetRow: (r: number) => row(targets, r, 4),
  }
}

/** Since row r holds the value r, a row's mean must be what its label distribution says. */
function expectConsistent({ inputRow, targetRow }: ReturnType<typeof mixed>) {
  for (let r = 0; r < 4; r++) {
    const targets = targetRow(r)
    expect(targets.reduce((sum, share) => sum + share)).toBeCloseTo(1, 6)
    const mean = inputRow(r).reduce((sum, value) => sum + value) / size
    expect(mean).toBeCloseTo(
      targets.reduce((sum, share, label) => sum + share * label, 0),
      4,
    )
  }
  expect(inputRow(4)).toEqual(new Array(size).fill(0))
  expect(targetRow(4)).toEqual([0, 0, 0, 0])
}

describe('mixBatch', () => {
  it('mixup blends samples and labels by the same weight', () => {
    for (let batch = 0; batch < 20; batch++) {
      const result = mixed({ mixup: 1 }, batch)
      expectConsistent(result)
      for (let r = 0; r < 4; r++) expect(new Set(result.inputRow(r)).size).toBe(1)
    }
  })

  it('cutmix pastes one rectangle and shares the label by its area', () => {
    let pasted = 0
    for (let batch = 0; batch < 20; batch++) {
      const result = mixed({ cutmix: 1 }, batch)
      expectConsistent(result)
      for (let r = 0; r < 4; r++) {
        const values = new Set(result.inputRow(r))
        expect([...values].every(Number.isInteger)).toBe(true)
        if (values.size === 2) pasted++
      }
    }
    expect(pasted).toBeGreaterThan(20)
  })

  it('is a pure function of seed, epoch and batch, and mixes the share of batches asked for', () => {
    const options = { mixup: 0.2, cutmix: 1, probability: 0.5 }
    expect(mixed(options, 3)).toMatchObject({ inputs: mixed(options, 3).inputs, targets: mixed(options, 3).targets })
    const untouched = Array.from({ length: 200 }, (_, batch) => mixed(options, batch)).filter(({ targets }) =>
      targets.every(share => share === 0 || share === 1),
    )
    expect(untouched.length).toBeGreaterThan(70)
    expect(untouched.length).toBeLessThan(140)
  })

  it('refuses options out of range', () => {
    expect(() => checkMixOptions({}, shape)).toThrow('mix: give an alpha for mixup, cutmix or both.')
    expect(() => checkMixOptions({ mixup: 0 }, shape)).toThrow('mix: mixup needs an alpha above 0, got 0.')
    expect(() => checkMixOptions({ cutmix: 1, cutmixShare: 2 }, shape)).toThrow('cutmixShare must be between 0 and 1')
    expect(() => checkMixOptions({ cutmix: 1 }, [4])).toThrow('mix: cutmix needs images [channels, height, width]')
  })
})
