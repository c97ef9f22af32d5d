import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildLexicon, bundledLexicon, dictionaryTerms, Lexicon, readLexicon, writeLexicon } from './index.ts'

const vocabulary = new Set('settings bird camera lock castle cancel animal umbrella'.split(' '))

describe('building a lexicon', () => {
  it('takes aligned names, and leaves messages and words outside the vocabulary', () => {
    const said = (english: string, foreign: string) => ({ language: 'de', english, foreign, weight: 1 })
    const entries = buildLexicon(
      [
        said('Settings', 'Einstellungen'),
        said('Lock', 'Schloss'),
        said('Castle', 'Schloss'),
        said('Cancel {0} settings', 'Abbrechen {0}'),
        said('Zeppelin', 'Luftschiff'),
      ],
      [],
      { vocabulary },
    )
    expect(entries).toEqual([
      { term: 'einstellungen', languages: ['de'], english: [{ text: 'settings', weight: 1 }] },
      {
        term: 'schloss',
        languages: ['de'],
        english: [
          { text: 'lock', weight: 1 },
          { text: 'castle', weight: 1 },
        ],
      },
    ])
  })
  it('aligns keywords by the pictures they share', () => {
    const picture = (englishLabel: string, english: string[], label: string, words: string[]) => ({
      language: 'pt',
      englishLabel,
      english,
      label,
      words,
    })
    const entries = buildLexicon(
      [],
      [
        picture('eagle', ['animal', 'bird'], 'águia', ['animal', 'pássaro']),
        picture('duck', ['animal', 'bird'], 'pato', ['animal', 'pássaro']),
        picture('cat', ['animal'], 'gato', ['animal']),
      ],
      { vocabulary },
    )
    expect(entries.find(({ term }) => term === 'passaro')?.english[0].text).toBe('bird')
  })
})

describe('terms of a dictionary', () => {
  it('explain words that nothing is called by words that something is', () => {
    const found = [
      ...dictionaryTerms(
        [{ words: ['umbrella', 'brolly'], ranks: [1, 1], hypernyms: [['canopy']], hypernymRanks: [[3]] }],
        new Map([['umbrella', 40]]),
      ),
    ]
    expect(found.map(({ foreign, english }) => [foreign, english])).toEqual([
      ['canopy', 'umbrella'],
      ['brolly', 'umbrella'],
    ])
  })
})

describe('a lexicon', () => {
  it('is what was written', async () => {
    const entries = [
      {
        term: 'schloss',
        languages: ['de'],
        english: [
          { text: 'castle', weight: 1 },
          { text: 'lock', weight: 0.93 },
        ],
      },
      { term: '相机', languages: ['zh'], english: [{ text: 'camera', weight: 1 }] },
    ]
    const path = join(await mkdtemp(join(tmpdir(), 'lexicon-')), 'l.gz')
    await writeFile(path, writeLexicon(entries, {}))
    expect([...(await readLexicon(path)).entries()]).toEqual(entries)
  })
  it('refuses files that are none', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'lexicon-')), 'l.gz')
    await writeFile(path, 'hello')
    await expect(readLexicon(path)).rejects.toThrow('is no lexicon')
    await expect(readLexicon(`${path}x`)).rejects.toThrow('cannot read the lexicon')
  })
  it('finds the longest terms, in scripts without spaces too', () => {
    const term = (text: string, english: string) => ({
      term: text,
      languages: ['x'],
      english: [{ text: english, weight: 1 }],
    })
    const lexicon = new Lexicon([
      term('文件', 'file'),
      term('文件夹', 'folder'),
      term('correo', 'post'),
      term('correo electronico', 'mail'),
    ])
    const english = (text: string) =>
      lexicon.parse(text).map(part => (typeof part === 'string' ? part : part.meanings[0].text))
    expect(english('文件夹')).toEqual(['folder'])
    expect(english('文件文件夹了')).toEqual(['file', 'folder', '了'])
    expect(english('Correo Electrónico xyz correo')).toEqual(['mail', 'xyz', 'post'])
  })
  it('that comes along speaks many languages', async () => {
    const lexicon = (await bundledLexicon())!
    const meaning = (text: string) => lexicon.find(text)?.meanings[0].text
    expect([meaning('Einstellungen'), meaning('カメラ'), meaning('ağaç'), meaning('달걀')]).toEqual([
      'settings',
      'camera',
      'tree',
      'egg',
    ])
    expect(new Set([...lexicon.entries()].flatMap(({ languages }) => languages)).size).toBeGreaterThan(30)
  })
})
