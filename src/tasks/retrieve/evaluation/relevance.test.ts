import { expect, test } from 'vitest'
import { namesAsWords, relevanceJudge, wordsOf } from './relevance.ts'

const accepts = (relevant: (string | string[])[], name: string, except: string[] = []) =>
  relevanceJudge(relevant, except)(namesAsWords([name]))

test('names are split at everything that is no letter or digit, and at humps', () => {
  expect(wordsOf('arrow-left_Bold:sunFlower 2')).toEqual(['arrow', 'left', 'bold', 'sun', 'flower', '2'])
})

test('a word matches whole words only', () => {
  expect(accepts(['bin'], 'recycle-bin')).toBe(true)
  expect(accepts(['bin'], 'binary')).toBe(false)
  expect(accepts(['car'], 'card-search')).toBe(false)
})

test('a word may be a regular expression, which is still held against the whole word', () => {
  expect(accepts(['magnif.*'], 'magnifying-glass')).toBe(true)
  expect(accepts(['favou?rite'], 'favourite')).toBe(true)
  expect(accepts(['a|b'], 'abc')).toBe(false)
})

test('words of a phrase must stand next to each other in their order', () => {
  expect(accepts(['log out'], 'log-out-circle')).toBe(true)
  expect(accepts(['log out'], 'out-log')).toBe(false)
  expect(accepts(['log out'], 'log-me-out')).toBe(false)
})

test('a list of groups wants one of each, anywhere', () => {
  const soundOff = [['volume|speaker', 'off|mute']]
  expect(accepts(soundOff, 'volume-high-off')).toBe(true)
  expect(accepts(soundOff, 'mute-the-speaker')).toBe(true)
  expect(accepts(soundOff, 'volume-high')).toBe(false)
})

test('numbers at the end of a word and a plural s are looked past', () => {
  expect(accepts(['cart'], 'cart2')).toBe(true)
  expect(accepts(['dagger'], 'thrown-daggers')).toBe(true)
  expect(accepts(['glasses'], 'glasses')).toBe(true)
  expect(accepts(['glasses'], 'glass')).toBe(false)
})

test('an exception overrules the name it matches, and only that one', () => {
  expect(accepts(['water'], 'water-polo', ['water polo'])).toBe(false)
  const judge = relevanceJudge(['water'], ['water polo'])
  expect(judge(namesAsWords(['water-polo', 'water-ball']))).toBe(true)
})

test('words of other scripts match as they are', () => {
  expect(accepts(['поиск'], 'Поиск')).toBe(true)
})
