import { describe, expect, it } from 'vitest'
import { emojiKeywords, englishEmoji, plainHexcode } from './emoji.ts'
import { keywordLists, publishedWords } from './published-tags.ts'
import { wordnetSynonyms } from './wordnet.ts'

describe('emojiKeywords', () => {
  it('gives the words of every emoji in many languages', () => {
    const keywords = emojiKeywords()
    const languages = new Set(keywords.map(({ language }) => language))
    expect(languages.size).toBeGreaterThan(25)
    const cars = new Map(keywords.filter(({ hexcode }) => hexcode === '1f697').map(entry => [entry.language, entry]))
    expect(cars.get('en')).toMatchObject({ emoji: '🚗', label: 'automobile' })
    expect(cars.get('de')?.tags).toContain('fahrzeug')
    expect(cars.get('zh')?.label).toBe('汽车')
    expect(cars.get('fr')?.label).toBe('voiture')
  })

  it('writes a hexcode in one way', () => {
    expect(plainHexcode('2764-FE0F-200D-1F525')).toBe('2764-200d-1f525')
  })

  it('knows variants by skin tone in English', () => {
    expect(englishEmoji().get('1f44b-1f3fb')).toMatchObject({
      label: 'waving hand: light skin tone',
      baseLabel: 'waving hand',
    })
  })
})

describe('publishedWords', () => {
  it('looks the most exact name up first', () => {
    const words = publishedWords('mdi')
    expect(words('cog-outline', 'cog').categories).toEqual(['Settings'])
    expect(words('no-such-icon', 'cog').aliases).toContain('gear')
    expect(words('no-such-icon')).toEqual({ aliases: [], tags: [], categories: [] })
    expect(publishedWords('no-such-set')('cog')).toEqual({ aliases: [], tags: [], categories: [] })
  })

  it('lists the words of all projects', () => {
    const lists = keywordLists()
    const sources = new Map<string, number>()
    for (const { source } of lists) sources.set(source, (sources.get(source) ?? 0) + 1)
    for (const source of ['lucide-static', '@mdi/svg', '@tabler/icons', '@phosphor-icons/core'])
      expect(sources.get(source)).toBeGreaterThan(1400)
    const car = lists.find(({ source, name }) => source === '@fortawesome/fontawesome-free' && name === 'car')
    expect(car?.tags).toContain('vehicle')
    expect(car?.aliases).toContain('automobile')
  })
})

describe('wordnetSynonyms', () => {
  it('reads nouns, verbs and adjectives with what stands above them', () => {
    const synsets = wordnetSynonyms()
    expect(synsets.length).toBe(114_166)
    const car = synsets.find(({ words }) => words.includes('motorcar'))!
    expect(car.words).toEqual(['car', 'auto', 'automobile', 'machine', 'motorcar'])
    expect(car.hypernyms).toEqual([['motor vehicle', 'automotive vehicle']])
    expect(car.gloss).toMatch(/^a motor vehicle with four wheels/)
    const einstein = synsets.find(({ words }) => words.includes('Albert Einstein'))!
    expect(einstein.hypernyms.flat()).toContain('physicist')
    expect(synsets.find(({ words }) => words.includes('galore'))?.words).toEqual(['abounding', 'galore'])
    expect(synsets.find(({ words }) => words.includes('buy') && words.includes('purchase'))?.hypernyms).toEqual([
      ['get', 'acquire'],
    ])
  })
})
