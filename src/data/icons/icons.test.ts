import { beforeAll, describe, expect, it } from 'vitest'
import { checkSvg } from '../svg/index.ts'
import { type IconItem, iconConcepts, icons, namesEvaluatedConcept } from './icons.ts'
import { conceptKey } from './names.ts'
import { iconSets, installedSets, trainingSets, unseenSets } from './sets.ts'

let all: IconItem[]
let byId: Map<string, IconItem>

beforeAll(() => {
  all = [...icons()]
  byId = new Map(all.map(item => [item.id, item]))
})

describe('icons', () => {
  it('reads every icon that the sets count, each once', () => {
    expect(installedSets()).toEqual([...trainingSets, ...unseenSets].sort())
    expect(byId.size).toBe(all.length)
    const counts = new Map<string, number>()
    for (const { set } of all) counts.set(set, (counts.get(set) ?? 0) + 1)
    for (const { set, total } of iconSets()) expect([set, counts.get(set)]).toEqual([set, total])
    const trained = all.filter(({ set }) => !(unseenSets as readonly string[]).includes(set))
    expect(trained.length).toBeGreaterThan(94_000)
  })

  it('gives words, aliases, keywords and categories of the project', () => {
    const cog = byId.get('mdi:cog-outline')!
    expect(cog).toMatchObject({ words: 'cog', style: 'outline', colour: false, categories: ['Settings'] })
    expect([...cog.aliases, ...cog.withheld].sort()).toEqual(['gear', 'settings'])
    expect(cog).toMatchObject({ licence: 'Apache-2.0', author: 'Pictogrammers' })
    const words = ({ aliases, tags, withheld }: IconItem) => [...aliases, ...tags, ...withheld]
    expect(words(byId.get('lucide:cog')!)).toContain('preferences')
    expect(words(byId.get('tabler:car')!)).toContain('automobile')
    expect(words(byId.get('ph:acorn-thin')!)).toContain('groceries')
    expect(words(byId.get('ph:acorn-thin')!).some(word => word.includes('new'))).toBe(false)
  })

  it('matches emoji with their label, keywords and character, whatever the set calls them', () => {
    const dark = byId.get('fluent-emoji-flat:waving-hand-dark')!
    expect(dark).toMatchObject({
      words: 'waving hand dark skin tone',
      emoji: '1f44b-1f3ff',
      concept: 'waving-hand',
      style: 'colour',
      colour: true,
    })
    expect([...dark.tags, ...dark.withheld]).toContain('bye')
    const matched = all.filter(({ emoji }) => emoji !== undefined)
    expect(matched.length).toBeGreaterThan(15_000)
    const faces = ['twemoji', 'noto', 'openmoji', 'fluent-emoji-flat'].map(
      set => byId.get(`${set}:grinning-face`)?.emoji,
    )
    expect(faces).toEqual(Array(4).fill('1f600'))
  })

  it('finds one concept in several sets and styles', () => {
    const gears = ['mdi:cog', 'lucide:settings', 'ph:gear-duotone', 'carbon:settings', 'heroicons:cog-20-solid']
    expect(new Set(gears.map(id => byId.get(id)?.concept)).size).toBe(1)
    expect(byId.get('mdi:car')?.concept).toBe(byId.get('tabler:car')?.concept)
  })

  it('splits by concept: no name or alias of an evaluated concept is left in training', () => {
    const splits = new Map<string, Set<string>>()
    for (const { concept, split } of all)
      if (split !== 'unseen-set') splits.set(concept, (splits.get(concept) ?? new Set()).add(split))
    expect([...splits.values()].every(found => found.size === 1)).toBe(true)
    const evaluated = new Set(
      all
        .filter(({ split }) => split === 'test' || split === 'validation')
        .flatMap(item => [item.words, ...item.aliases]),
    )
    const leaks = all
      .filter(({ split }) => split === 'train')
      .flatMap(item => [item.words, ...item.aliases, ...item.tags].filter(word => evaluated.has(word)))
    expect(leaks).toEqual([])
    expect([...evaluated].filter(words => !namesEvaluatedConcept(words))).toEqual([])
    const share = all.filter(({ split }) => split === 'test').length / all.length
    expect(share).toBeGreaterThan(0.06)
    expect(share).toBeLessThan(0.085)
  })

  it('keeps the two sets apart that training never sees', () => {
    for (const item of all)
      expect(item.split === 'unseen-set').toBe((unseenSets as readonly string[]).includes(item.set))
  })

  it('does not join concepts without end', () => {
    const concepts = iconConcepts()
    const largest = Math.max(...all.map(({ words }) => concepts.size(conceptKey(words))))
    expect(largest).toBeLessThanOrEqual(12)
    expect(concepts.refused.length).toBeLessThan(300)
  })

  it('draws aliases that turn another icon, and gives documents that can be drawn', () => {
    const turned = byId.get('fluent-emoji-flat:running-shirt')
    expect(turned?.svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/)
    const some = all.filter((_, i) => i % 200 === 0)
    expect(some.map(({ svg }) => checkSvg(svg))).toEqual(some.map(() => undefined))
  })

  it('names a set that is not installed, and how to install it', () => {
    expect(() => [...icons({ sets: ['no-such'] })]).toThrow(
      "the icon set 'no-such' is not installed. Installed: bi, carbon,",
    )
    expect(() => iconSets(['../../etc'])).toThrow('is not installed')
  })
})
