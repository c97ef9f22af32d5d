import { expect, test } from 'vitest'
import type { EmojiKeywords, IconItem } from '../../../data/icons/index.ts'
import { aliasQueries, conceptQueries, type Drawer, emojiQueries, nameQueries, sketchQueries } from './query-sets.ts'

const item = (id: string, concept: string, split: IconItem['split'], more: Partial<IconItem> = {}): IconItem => ({
  id,
  set: id.split(':')[0],
  name: id.split(':')[1],
  words: id.split(':')[1].replaceAll('-', ' '),
  aliases: [],
  tags: [],
  withheld: [],
  categories: [],
  style: 'outline',
  colour: false,
  concept,
  split,
  licence: 'MIT',
  author: 'somebody',
  svg: '<svg/>',
  ...more,
})

const gallery = [
  item('a:cog', 'cog', 'test', { tags: ['settings', 'cog wheel'] }),
  item('b:gear', 'cog', 'test'),
  item('a:settings-panel', 'settings-panel', 'train'),
  item('b:dial', 'dial', 'train', { withheld: ['settings'] }),
  item('b:knob', 'knob', 'test', { aliases: ['settings'] }),
  item('a:moon', 'moon', 'train', { tags: ['night'] }),
  item('b:moon', 'moon', 'train'),
]

const blank: Drawer = async (items, size) =>
  items.map(({ id }) => (id === 'c:broken' ? undefined : { pixels: new Uint8Array(3 * size * size).fill(255), size }))

test('names of test concepts find the whole concept', () => {
  const { queries } = nameQueries(gallery)
  expect(queries.map(({ text, relevant }) => [text, [...relevant]])).toEqual([
    ['cog', ['a:cog', 'b:gear']],
    ['gear', ['a:cog', 'b:gear']],
    ['knob', ['b:knob']],
  ])
})

test('aliases are asked for only where no word occurs in the name; what was trained on does not count', () => {
  const { queries } = aliasQueries(gallery)
  expect(queries).toHaveLength(1)
  const [settings] = queries
  expect(settings.text).toBe('settings')
  expect([...settings.relevant].sort()).toEqual(['a:cog', 'b:gear', 'b:knob'])
  expect([...(settings.ignored ?? [])].sort()).toEqual(['a:settings-panel', 'b:dial'])
})

test('emoji words are asked for by language, English ones only where they are not in the name', () => {
  const emoji = [
    item('e:red-car', 'red-car', 'test', { emoji: '1f697' }),
    item('f:red-car', 'red-car', 'test', { emoji: '1f697' }),
    item('g:auto', 'red-car', 'test'),
    item('e:bus', 'bus', 'train', { emoji: '1f68c' }),
  ]
  const word = (hexcode: string, language: string, label: string, tags: string[]): EmojiKeywords => ({
    emoji: '',
    hexcode,
    language,
    label,
    tags,
  })
  const keywords = [
    word('1f697', 'en', 'automobile', ['car', 'vehicle']),
    word('1f68c', 'en', 'bus', ['vehicle']),
    word('1f697', 'de', 'Auto', ['Fahrzeug']),
  ]
  const [english, german] = emojiQueries(emoji, keywords, {}, ['en', 'de'])
  expect(english.queries.map(({ text }) => text)).toEqual(['automobile', 'vehicle'])
  expect([...english.queries[1].relevant]).toEqual(['e:red-car', 'f:red-car', 'g:auto'])
  expect([...(english.queries[1].ignored ?? [])]).toEqual(['e:bus'])
  expect(german.queries.map(({ text }) => text)).toEqual(['auto', 'fahrzeug'])
  expect([...german.queries[0].relevant]).toEqual(['e:red-car', 'f:red-car', 'g:auto'])
  expect(german.title).toContain('German')
})

test('a concept is looked for in the other sets, and drawings that fail are left out', async () => {
  const sources = [
    item('c:moon', 'moon', 'unseen-set'),
    item('c:lonely', 'lonely', 'unseen-set'),
    item('c:broken', 'moon', 'unseen-set'),
  ]
  const { queries } = await conceptQueries('unseen', 'unseen', gallery, sources, blank)
  expect(queries.map(({ id }) => id)).toEqual(['c:moon'])
  expect([...queries[0].relevant]).toEqual(['a:moon', 'b:moon'])
  const [own] = (await conceptQueries('seen', 'seen', gallery, [gallery[5]], blank)).queries
  expect([...own.relevant]).toEqual(['b:moon'])
  expect(own.ignored?.has('a:moon')).toBe(true)
})

test('sketches are of test concepts without colour', async () => {
  const coloured = [...gallery, item('d:sun', 'sun', 'test', { colour: true })]
  const { queries } = await sketchQueries(coloured, blank)
  expect(queries.map(({ id }) => id)).toEqual(['a:cog', 'b:gear', 'b:knob'])
  expect(queries.every(({ sketch }) => sketch)).toBe(true)
  expect([...queries[0].relevant]).toEqual(['a:cog', 'b:gear'])
})

test('a limit chooses the same queries for the same seed', () => {
  const many = Array.from({ length: 50 }, (_, i) => item(`a:n${i}`, `n${i}`, 'test'))
  const texts = (seed: number) => nameQueries(many, { limit: 10, seed }).queries.map(({ text }) => text)
  expect(texts(1)).toHaveLength(10)
  expect(texts(1)).toEqual(texts(1))
  expect(texts(1)).not.toEqual(texts(2))
})
