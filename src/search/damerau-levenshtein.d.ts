declare module 'damerau-levenshtein' {
  /** Edit distance with swaps of neighbouring letters. */
  const damerauLevenshtein: (
    a: string,
    b: string,
    limit?: number,
  ) => { readonly steps: number; readonly relative: number; readonly similarity: number }
  export = damerauLevenshtein
}
