import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { conceptKey, parseName, spoken, styleNaming } from './names.ts'
import { loadSet } from './sets.ts'

const naming = (set: string) => {
  const { metadata, info } = loadSet(set)
  return styleNaming(set, metadata, info.colour)
}

describe('parseName', () => {
  it.each([
    ['mdi', 'cog', 'cog', 'filled'],
    ['mdi', 'cog-outline', 'cog', 'outline'],
    ['mdi', 'traffic-light', 'traffic light', 'filled'],
    ['material-symbols', 'settings-outline-rounded', 'settings', 'outline'],
    ['material-symbols', 'settings-rounded', 'settings', 'filled'],
    ['tabler', 'settings-filled', 'settings', 'filled'],
    ['tabler', 'settings', 'settings', 'outline'],
    ['ph', 'gear-duotone', 'gear', 'duotone'],
    ['ph', 'traffic-sign-thin', 'traffic sign', 'thin'],
    ['ph', 'gear', 'gear', 'outline'],
    ['ph', 'gear-bold', 'gear', 'bold'],
    ['fluent', 'arrow-left-24-filled', 'arrow left', 'filled'],
    ['fluent', 'arrow-left-32-light', 'arrow left', 'light'],
    ['solar', 'cart-2-bold', 'cart 2', 'filled'],
    ['solar', 'cart-2-line-duotone', 'cart 2', 'duotone'],
    ['solar', 'cart-2-broken', 'cart 2', 'broken'],
    ['ri', 'home-8-line', 'home 8', 'outline'],
    ['heroicons', 'bell-20-solid', 'bell', 'filled'],
    ['heroicons', 'bell', 'bell', 'outline'],
    ['twemoji', 'red-heart', 'red heart', 'colour'],
  ])('takes %s:%s apart into %s and %s', (set, name, words, style) => {
    expect(parseName(name, naming(set))).toEqual({ words, style })
  })

  it('knows the usual endings, and the beginnings that its metadata lists, of sets that it does not know', () => {
    expect(parseName('bell-outlined', styleNaming('some-set', {}, false))).toEqual({ words: 'bell', style: 'outline' })
    const listed = styleNaming('some-set', { prefixes: { twotone: 'Two-Tone', '': 'Plain' } }, false)
    expect(parseName('twotone-bell', listed)).toEqual({ words: 'bell', style: 'duotone' })
  })
})

describe('spoken', () => {
  it('keeps the words of any language and drops the rest', () => {
    expect(spoken('  Arrow--Left_2 ')).toBe('arrow left 2')
    expect(spoken('Größe: ① C++ ½')).toBe('größe 1 c++ 1 2')
    expect(spoken('設定・歯車')).toBe('設定 歯車')
  })

  it('changes nothing the second time', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), text => spoken(spoken(text)) === spoken(text)))
  })
})

describe('conceptKey', () => {
  it.each([
    ['arrow left', 'arrow-left'],
    ['home 8', 'home'],
    ['home 8 2', 'home'],
    ['mp3', 'mp3'],
    ['123', '123'],
    ['1 2 3', '1'],
    ['waving hand: medium-light skin tone', 'waving-hand'],
    ['man-medium-dark-skin-tone-red-hair', 'man-red-hair'],
    ['speaker medium volume', 'speaker-medium-volume'],
  ])('makes %s the concept %s', (words, key) => {
    expect(conceptKey(words)).toBe(key)
  })
})
