/** Words of a text: lower case, without marks on letters, split at what is neither letter nor digit and at camelCase. */
export function wordsOf(text: string): string[] {
  return text
    .replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .normalize('NFKD')
    .replace(/\p{Mn}+/gu, '')
    .toLowerCase()
    .split(/[^\p{L}\p{N}+#]+/u)
    .filter(word => word !== '')
}

/** Words joined by single spaces: two texts with the same phrase say the same name. */
export function phraseOf(text: string): string {
  return wordsOf(text).join(' ')
}
