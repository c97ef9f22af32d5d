import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Concepts, conceptSplit } from './concepts.ts'

describe('Concepts', () => {
  it('joins names whatever the order, and calls the concept by the first name in the alphabet', () => {
    const pairs: [string, string][] = [
      ['gear', 'cog'],
      ['settings', 'gear'],
      ['preferences', 'settings'],
    ]
    fc.assert(
      fc.property(fc.shuffledSubarray(pairs, { minLength: 3 }), shuffled => {
        const concepts = new Concepts()
        for (const [one, other] of shuffled) concepts.join(one, other)
        for (const name of ['cog', 'gear', 'preferences', 'settings']) expect(concepts.of(name)).toBe('cog')
        expect(concepts.size('settings')).toBe(4)
        expect(concepts.of('bell')).toBe('bell')
        expect(concepts.size('bell')).toBe(1)
      }),
    )
  })

  it('refuses a join that makes a concept too large, and says so', () => {
    const concepts = new Concepts(3)
    concepts.join('a', 'b')
    concepts.join('c', 'd')
    concepts.join('a', 'b')
    concepts.join('b', 'd')
    expect(concepts.of('d')).toBe('c')
    expect(concepts.refused).toEqual([{ names: ['b', 'd'], size: 4 }])
  })

  it('tells names of evaluated concepts: only those that some icon is called by', () => {
    const concepts = new Concepts()
    const name = Array.from({ length: 1000 }, (_, i) => `name-${i}`).find(other => conceptSplit(other) === 'test')!
    expect(concepts.isEvaluated(name)).toBe(false)
    concepts.own(name)
    expect(concepts.isEvaluated(name)).toBe(true)
    concepts.join(`${name}-alias`, name)
    expect(concepts.isEvaluated(`${name}-alias`)).toBe(true)
  })
})

describe('conceptSplit', () => {
  it('is fixed for ever: what was evaluated yesterday is not trained on tomorrow', () => {
    const splits = ['7-square', 'cutlery', 'speedometer', 'cog', 'car', 'arrow-left'].map(conceptSplit)
    expect(splits).toEqual(['test', 'test', 'test', 'train', 'train', 'train'])
  })

  it('gives 90, 3 and 7 of 100 concepts', () => {
    const counts = { train: 0, validation: 0, test: 0 }
    for (let i = 0; i < 20_000; i++) counts[conceptSplit(`concept ${i}`)]++
    expect(counts.train / 20_000).toBeCloseTo(0.9, 1.7)
    expect(counts.validation / 20_000).toBeCloseTo(0.03, 2)
    expect(counts.test / 20_000).toBeCloseTo(0.07, 1.9)
  })
})
