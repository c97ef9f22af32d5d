import { textWords } from '../data/lexicon/index.ts'

/** Words of a text as the lexicon cuts them, and split at camelCase, as names of files and icons often are. */
export const wordsOf = (text: string): string[] => textWords(text.replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2'))

/** Words joined by single spaces: two texts with the same phrase say the same name. */
export function phraseOf(text: string): string {
  return wordsOf(text).join(' ')
}
