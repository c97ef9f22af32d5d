import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { measureNormalisation } from './channel-statistics.ts'
import { arrayDataset, type Dataset, sampleName, stratifiedSplit, subset } from './dataset.ts'
import { readSample } from './read-sample.ts'

const tiny = () =>
  arrayDataset({
    name: 'tiny',
    classes: ['a', 'b'],
    shape: [2, 1, 2],
    values: Uint8Array.from({ length: 12 }, (_, at) => at * 10),
    labels: Int32Array.of(0, 1, 0),
  })

const valuesOf = async (dataset: Dataset, index: number) => {
  const { values, offset } = await readSample(dataset, index)
  return [...values.subarray(offset, offset + 4)]
}

describe('arrayDataset and subset', () => {
  it('give samples by position, sharing one memory', async () => {
    const dataset = tiny()
    const part = subset(subset(dataset, [2, 1, 0]), [0, 2], 'part')
    expect(part).toMatchObject({ name: 'part', length: 2, labels: Int32Array.of(0, 0) })
    expect(await valuesOf(part, 0)).toEqual([80, 90, 100, 110])
    expect(await valuesOf(part, 1)).toEqual([0, 10, 20, 30])
    const { source } = part
    if (source.kind !== 'array' || dataset.source.kind !== 'array') throw new Error('expected arrays')
    expect(source.values).toBe(dataset.source.values)
  })

  it('name samples by file, or by position', () => {
    expect(sampleName(tiny(), 1)).toBe('tiny[1]')
    const named = arrayDataset({ ...tiny(), values: new Uint8Array(12), names: ['x', 'y', 'z'] })
    expect(sampleName(subset(named, [2]), 0)).toBe('z')
  })

  it('refuse what does not fit together', () => {
    const fields = { name: 'd', classes: ['a'], shape: [2], values: new Float32Array(6), labels: new Int32Array(3) }
    expect(() => arrayDataset({ ...fields, shape: [4] })).toThrow(
      'd: 6 values do not divide into samples of shape [4] (4 values).',
    )
    expect(() => arrayDataset({ ...fields, labels: new Int32Array(2) })).toThrow('d: 2 labels for 3 samples')
    expect(() => arrayDataset({ ...fields, labels: Int32Array.of(0, 1, 0) })).toThrow('d: sample 1 has label 1')
    expect(() => arrayDataset({ ...fields, rows: Int32Array.of(0, 1, 3) })).toThrow('row 3 is not one of the 3 rows')
    expect(() => arrayDataset({ ...fields, names: ['a'] })).toThrow('d: 1 names for 3 samples')
    expect(() => subset(tiny(), [0, 3])).toThrow('tiny: index 3 is not one of the 3 samples.')
  })
})

describe('stratifiedSplit', () => {
  it('puts each sample in one split, keeps some of each class to train on, and repeats', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 60 }),
        fc.double({ min: 0, max: 0.49, noNaN: true }),
        fc.double({ min: 0, max: 0.49, noNaN: true }),
        fc.integer(),
        (labelList, validation, test, seed) => {
          const labels = Int32Array.from(labelList)
          const split = stratifiedSplit(labels, { validation, test }, seed)
          const all = [...split.train, ...split.validation, ...split.test].sort((a, b) => a - b)
          expect(all).toEqual(labelList.map((_, index) => index))
          expect(stratifiedSplit(labels, { validation, test }, seed)).toEqual(split)
          const classesOf = (indices: Int32Array) => new Set(Array.from(indices, index => labels[index]))
          expect(classesOf(split.train)).toEqual(new Set(labelList))
          for (const label of new Set(labelList)) {
            if (labelList.filter(other => other === label).length < 3) continue
            expect(classesOf(split.validation).has(label)).toBe(validation > 0)
            expect(classesOf(split.test).has(label)).toBe(test > 0)
          }
        },
      ),
    )
  })

  it('takes the share asked for of each class', () => {
    const labels = Int32Array.from({ length: 300 }, (_, index) => (index < 200 ? 0 : 1))
    const { validation, test } = stratifiedSplit(labels, { validation: 0.1, test: 0.2 }, 1)
    const ofClass = (indices: Int32Array, label: number) => indices.filter(index => labels[index] === label).length
    expect([ofClass(validation, 0), ofClass(validation, 1)]).toEqual([20, 10])
    expect([ofClass(test, 0), ofClass(test, 1)]).toEqual([40, 20])
    expect(stratifiedSplit(labels, { validation: 0.1, test: 0.2 }, 2).test).not.toEqual(test)
  })

  it('with keys, a removed sample moves few of the others', () => {
    const keys = Uint32Array.from({ length: 200 }, (_, index) => (index * 2654435761) >>> 0)
    const testKeys = (kept: Uint32Array) => {
      const { test } = stratifiedSplit(new Int32Array(kept.length), { validation: 0, test: 0.25 }, 3, kept)
      return new Set(Array.from(test, index => kept[index]))
    }
    const before = testKeys(keys)
    const after = testKeys(keys.filter((_, index) => index !== 57))
    expect([...after].filter(key => !before.has(key)).length).toBeLessThanOrEqual(1)
  })

  it('refuses shares that leave nothing', () => {
    const split = (validation: number, test: number) => () =>
      stratifiedSplit(new Int32Array(3), { validation, test }, 0)
    expect(split(0.5, 0.5)).toThrow('split: validation (0.5) and test (0.5) must be shares >= 0')
    expect(split(-0.1, 0)).toThrow('split: validation (-0.1)')
    expect(split(Number.NaN, 0)).toThrow('split: validation (NaN)')
  })
})

describe('measureNormalisation', () => {
  it('gives each channel its mean and deviation, bytes counted from 0 to 1', async () => {
    const dataset = arrayDataset({
      name: 'd',
      classes: ['a'],
      shape: [2, 1, 2],
      values: Uint8Array.of(0, 255, 51, 51, 255, 0, 51, 51),
      labels: new Int32Array(2),
    })
    const { mean, std } = await measureNormalisation(dataset)
    expect(mean[0]).toBeCloseTo(0.5, 10)
    expect(std[0]).toBeCloseTo(0.5, 10)
    expect(mean[1]).toBeCloseTo(0.2, 10)
    expect(std[1]).toBe(1)
  })

  it('takes floats as they are and refuses an empty set', async () => {
    const dataset = arrayDataset({
      name: 'd',
      classes: ['a'],
      shape: [1],
      values: Float32Array.of(-3, 5),
      labels: new Int32Array(2),
    })
    expect(await measureNormalisation(dataset)).toEqual({ mean: [1], std: [4] })
    await expect(measureNormalisation(subset(dataset, []))).rejects.toThrow('d: has no samples')
  })
})
