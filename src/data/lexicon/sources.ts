import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** One thing said in two languages. */
export interface Translation {
  readonly language: string
  readonly english: string
  readonly foreign: string
  /** How much this source is to be believed, 0..1. */
  readonly weight: number
}

/** The words that one picture is described by, in English and in another language, not aligned with each other. */
export interface DescribedTwice {
  readonly language: string
  readonly englishLabel: string
  readonly english: readonly string[]
  readonly label: string
  readonly words: readonly string[]
}

/** A published package that says the same in several languages. */
export interface LexiconSource {
  readonly package: string
  readonly licence: string
  readonly what: string
  read(folder: string, languages: readonly string[]): AsyncIterable<Translation> | Iterable<Translation>
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'))

/** All strings of a nested object by their path. */
function strings(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'string') into.set(path, value)
  else if (typeof value === 'object' && value !== null)
    for (const [key, inner] of Object.entries(value)) strings(inner, `${path}/${key}`, into)
  return into
}

function* alignedStrings(
  english: ReadonlyMap<string, string>,
  foreign: ReadonlyMap<string, string>,
  language: string,
  weight: number,
): Generator<Translation> {
  for (const [key, said] of foreign) {
    const meant = english.get(key)
    if (meant !== undefined) yield { language, english: meant, foreign: said, weight }
  }
}

/** The first file of a folder that is named for the language: `pt-BR.json`, `zh_CN.js`, `de-DE-XR44.js`. */
function fileFor(folder: string, language: string, extension: string): string | undefined {
  if (!existsSync(folder)) return undefined
  const files = readdirSync(folder).filter(name => name.endsWith(extension) && !name.endsWith(`.min${extension}`))
  const plain = (name: string): string => name.slice(0, -extension.length).replaceAll('_', '-').toLowerCase()
  const preferred = { zh: 'zh-cn', pt: 'pt-br', es: 'es-es', en: 'en-us' }[language]
  const matches = [language, preferred, `${language}-`].filter(wanted => wanted !== undefined)
  for (const wanted of matches) {
    const file = files.find(
      name => plain(name) === wanted || plain(name).startsWith(wanted.endsWith('-') ? wanted : `${wanted}-`),
    )
    if (file) return join(folder, file)
  }
  return undefined
}

/** Sources whose languages are one JSON file each, with the same keys in all. */
const jsonFiles = (
  name: string,
  licence: string,
  what: string,
  folder: string,
  pick: (content: unknown) => unknown = content => content,
): LexiconSource => ({
  package: name,
  licence,
  what,
  *read(root, languages) {
    const at = join(root, folder)
    const englishFile = fileFor(at, 'en', '.json')
    if (!englishFile) return
    const english = strings(pick(readJson(englishFile)))
    for (const language of languages) {
      const file = fileFor(at, language, '.json')
      if (file) yield* alignedStrings(english, strings(pick(readJson(file))), language, 1)
    }
  },
})

/** Sources whose languages are one module each; `pick` takes the strings from its exports. */
const modules = (
  name: string,
  licence: string,
  what: string,
  folder: string,
  pick: (exported: Record<string, unknown>) => unknown,
  keysAreEnglish = false,
): LexiconSource => ({
  package: name,
  licence,
  what,
  async *read(root, languages) {
    const at = join(root, folder)
    const load = async (language: string): Promise<Map<string, string> | undefined> => {
      const file = fileFor(at, language, '.js')
      return file === undefined
        ? undefined
        : strings(pick((await import(pathToFileURL(file).href)) as Record<string, unknown>))
    }
    const english = keysAreEnglish ? undefined : await load('en')
    for (const language of languages) {
      const foreign = await load(language)
      if (!foreign) continue
      const meant = english ?? new Map([...foreign.keys()].map(key => [key, key.slice(1)]))
      yield* alignedStrings(meant, foreign, language, 1)
    }
  },
})

/** OpenStreetMap's names of things on a map, and the words people look them up by. */
const openStreetMap: LexiconSource = {
  package: '@openstreetmap/id-tagging-schema',
  licence: 'ISC',
  what: 'names and search words of what maps show',
  *read(root, languages) {
    interface Preset {
      readonly name?: string
      readonly terms?: string
      readonly aliases?: string
    }
    const presets = (language: string): Record<string, Preset> | undefined => {
      const file = fileFor(join(root, 'dist/translations'), language, '.json')
      if (!file) return undefined
      const content = readJson(file) as Record<string, { presets?: { presets?: Record<string, Preset> } }>
      return Object.values(content)[0]?.presets?.presets
    }
    const words = ({ terms = '', aliases = '' }: Preset): string[] => [...terms.split(','), ...aliases.split('\n')]
    const english = presets('en') ?? {}
    for (const { name, ...rest } of Object.values(english))
      if (name) for (const word of words(rest)) yield { language: 'en', english: name, foreign: word, weight: 0.25 }
    for (const language of languages)
      for (const [key, { name, ...rest }] of Object.entries(presets(language) ?? {})) {
        const meant = english[key]?.name
        if (!meant) continue
        if (name) yield { language, english: meant, foreign: name, weight: 1 }
        for (const word of words(rest)) yield { language, english: meant, foreign: word, weight: 0.25 }
      }
  },
}

/** The messages of the Monaco editor: English stands in its code, the others in lists by number. */
const monaco: LexiconSource = {
  package: 'monaco-editor',
  licence: 'MIT',
  what: 'messages of an editor',
  *read(root, languages) {
    const english = new Map<string, string>()
    const call = /localize2?\((\d+),\s*(['"`])((?:(?!\2)[^\\\n]|\\.)*)\2/g
    const visit = (folder: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true }))
        if (entry.isDirectory()) visit(join(folder, entry.name))
        else if (entry.name.endsWith('.js'))
          for (const [, number, , text] of readFileSync(join(folder, entry.name), 'utf8').matchAll(call))
            english.set(number, text)
    }
    visit(join(root, 'esm/vs'))
    for (const language of languages) {
      const file = fileFor(join(root, 'esm/vs/nls/lang'), language, '.js')
      const list = file && /_VSCODE_NLS_MESSAGES\s*=\s*(\[.*?\]);/s.exec(readFileSync(file, 'utf8'))
      if (!list) continue
      const messages = JSON.parse(list[1]) as (string | null)[]
      yield* alignedStrings(
        english,
        new Map(messages.flatMap((text, i) => (text ? [[String(i), text] as const] : []))),
        language,
        1,
      )
    }
  },
}

/** Names of countries and languages. */
const localeNames: LexiconSource = {
  package: 'cldr-localenames-full',
  licence: 'Unicode-3.0',
  what: 'names of countries and languages',
  *read(root, languages) {
    const read = (language: string): Map<string, string> =>
      ['territories', 'languages'].reduce((all, kind) => {
        const file = join(root, 'main', language, `${kind}.json`)
        return existsSync(file)
          ? strings(
              (Object.values((readJson(file) as { main: object }).main)[0] as { localeDisplayNames: unknown })
                .localeDisplayNames,
              '',
              all,
            )
          : all
      }, new Map<string, string>())
    const english = read('en')
    for (const language of languages) yield* alignedStrings(english, read(language), language, 1)
  },
}

/** Where interface words, map words and names come from: published packages under permissive licences. */
export const lexiconSources: readonly LexiconSource[] = [
  openStreetMap,
  monaco,
  localeNames,
  jsonFiles('iobroker.admin', 'MIT', 'words of an administration page', 'build/i18n'),
  {
    ...jsonFiles('@iobroker/adapter-react-v5', 'MIT', 'words of dialogs', 'i18n'),
    *read(root, languages) {
      for (const folder of ['i18n', 'build/Components/DeviceType/i18n'])
        for (const said of jsonFiles('', '', '', folder).read(root, languages) as Iterable<Translation>)
          yield { ...said, english: said.english.replace(/^(ra_|type-)/, '') }
    },
  },
  jsonFiles('primelocale', 'MIT', 'words of form controls', '.', content => Object.values(content as object)[0]),
  {
    package: '@node-red/editor-client',
    licence: 'Apache-2.0',
    what: 'words of a flow editor',
    *read(root, languages) {
      const at = join(root, 'locales')
      const folderOf = (language: string): string | undefined =>
        readdirSync(at).find(
          name => name.toLowerCase() === ({ zh: 'zh-cn', es: 'es-es', pt: 'pt-br', en: 'en-us' }[language] ?? language),
        )
      const read = (language: string): Map<string, string> => {
        const folder = folderOf(language)
        return folder ? strings(readJson(join(at, folder, 'editor.json'))) : new Map()
      }
      const english = read('en')
      for (const language of languages) yield* alignedStrings(english, read(language), language, 1)
    },
  },
  modules('@excalidraw/excalidraw', 'MIT', 'words of a drawing board', 'dist/prod/locales', exported => exported),
  modules(
    '@uppy/locales',
    'MIT',
    'words of an upload dialog',
    'lib',
    exported => (exported.default as { strings: unknown }).strings,
  ),
  modules('jodit', 'MIT', 'words of a text editor', 'esm/langs', exported => exported.default, true),
]

/** Reads CLDR's keywords of emoji: an emoji's label and words in English and in each language. */
export function* describedEmoji(folder: string, languages: readonly string[]): Generator<DescribedTwice> {
  interface Annotation {
    readonly default?: readonly string[]
    readonly tts?: readonly string[]
  }
  const read = (language: string): Record<string, Annotation> | undefined => {
    const file = join(folder, 'annotations', language, 'annotations.json')
    if (!existsSync(file)) return undefined
    return (readJson(file) as { annotations: { annotations: Record<string, Annotation> } }).annotations.annotations
  }
  const english = read('en') ?? {}
  for (const language of languages)
    for (const [emoji, { default: words = [], tts = [] }] of Object.entries(read(language) ?? {})) {
      const meant = english[emoji]
      if (!meant?.tts?.[0] || !tts[0]) continue
      yield { language, englishLabel: meant.tts[0], english: meant.default ?? [], label: tts[0], words }
    }
}
