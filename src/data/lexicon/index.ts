export { type BuildLexiconOptions, buildLexicon, type LexiconEntry, widespreadLanguages } from './build-lexicon.ts'
export { dictionaryTerms } from './dictionary-terms.ts'
export {
  bundledLexicon,
  bundledLexiconPath,
  type KnownTerm,
  Lexicon,
  type Meaning,
  readLexicon,
  textWords,
  writeLexicon,
} from './lexicon.ts'
export { type DescribedTwice, describedEmoji, type LexiconSource, lexiconSources, type Translation } from './sources.ts'
export { buildIconLexicon, type LexiconReport, lexiconLanguages } from './write-lexicon.ts'
