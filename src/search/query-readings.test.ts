import { describe, expect, it } from 'vitest'
import { Lexicon } from '../data/lexicon/index.ts'
import { readingsOf } from './query-readings.ts'
import { Vocabulary } from './spelling.ts'
import { wordsOf } from './words.ts'

const vocabulary = new Vocabulary()
const words =
  'settings bicycle hospital translate garbage delete file cancel undo auto brightness bell umbrella food to go'
for (const word of words.split(' ')) for (let i = 0; i < 10; i++) vocabulary.add(word)

const meaning = (term: string, languages: string[], ...english: [string, number][]) => ({
  term,
  languages,
  english: english.map(([text, weight]) => ({ text, weight })),
})
const lexicon = new Lexicon([
  meaning('einstellungen', ['de'], ['settings', 1]),
  meaning('annuler', ['fr'], ['cancel', 1], ['undo', 0.7]),
  meaning('auto', ['de', 'nl'], ['car', 1]),
  meaning('文件', ['zh'], ['file', 1]),
  meaning('删除', ['zh'], ['delete', 1]),
  meaning('brolly', ['en'], ['umbrella', 1]),
  meaning('correo electronico', ['es'], ['mail', 1]),
])
const context = { vocabulary, lexicon, named: (text: string) => (text === 'settings' ? 30 : text === 'auto' ? 2 : 0) }
const texts = (text: string) => readingsOf(text, context).map(reading => reading.text)

describe('readings of a query', () => {
  it('leaves what the collection names so as it is', () => {
    expect(readingsOf('settings', context)).toEqual([{ text: 'settings', weight: 1 }])
  })
  it('translates words that the collection does not know, all their likely meanings', () => {
    expect(texts('Einstellungen')).toEqual(['settings'])
    expect(texts('annuler')).toEqual(['cancel', 'undo'])
    expect(texts('Correo Electrónico')).toEqual(['mail'])
    expect(readingsOf('Einstellungen', context)[0]).toMatchObject({ because: 'language', languages: ['de'] })
  })
  it('cuts scripts without spaces where terms end', () => {
    expect(texts('删除文件')).toEqual(['delete file'])
  })
  it('keeps an English word that is another language’s too, and adds what it means there', () => {
    expect(texts('Auto')).toEqual(['Auto', 'car'])
  })
  it('puts misspelt words right', () => {
    for (const [typed, meant] of [
      ['bycicle', 'bicycle'],
      ['hopsital', 'hospital'],
      ['tranlate', 'translate'],
      ['garbge', 'garbage'],
    ])
      expect(texts(typed)[0]).toBe(meant)
    expect(readingsOf('bycicle', context)[0].because).toBe('spelling')
  })
  it('allows that a term of another language is a common word with a slip', () => {
    const plan = new Lexicon([meaning('cancelo', ['xx'], ['bell', 1])])
    expect(readingsOf('cancelo', { ...context, lexicon: plan }).map(reading => reading.text)).toEqual([
      'bell',
      'cancel',
    ])
  })
  it('leaves words of a collection that speaks another language as they are, in every script', () => {
    const korean = new Vocabulary()
    for (const word of wordsOf('달걀 Rock’n’Roll')) for (let i = 0; i < 10; i++) korean.add(word)
    const eggs = new Lexicon([meaning('달걀', ['ko'], ['egg', 1])])
    const read = (text: string) => readingsOf(text, { vocabulary: korean, lexicon: eggs, named: () => 0 })[0]
    expect(read('달걀')).toEqual({ text: '달걀', weight: 1 })
    expect(read("rock'n'roll")).toEqual({ text: "rock'n'roll", weight: 1 })
  })
  it('explains rare words by common ones', () => {
    expect(readingsOf('brolly', context)[0]).toMatchObject({ text: 'umbrella', because: 'synonym' })
  })
  it('leaves out words that only hold a phrase together, but never all words', () => {
    expect(texts('show me the bell')).toEqual(['bell', 'show me the bell'])
    expect(texts('to go')).toEqual(['to go'])
  })
  it('leaves unknown words alone that resemble nothing', () => {
    expect(texts('xqzzwv')).toEqual(['xqzzwv'])
  })
})

describe('a vocabulary', () => {
  it('forgets words that no item holds any more', () => {
    const small = new Vocabulary()
    small.add('hospital')
    expect(small.corrections('hopsital')).toEqual(['hospital'])
    small.remove('hospital')
    expect(small.corrections('hopsital')).toEqual([])
  })
  it('prefers fewer slips, then a right first letter, then a common word', () => {
    const small = new Vocabulary()
    for (const word of ['delta', 'delete', 'delete', 'delete', 'belt']) small.add(word)
    expect(small.corrections('delte')).toEqual(['delete', 'delta'])
  })
})
