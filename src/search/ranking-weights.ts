/**
 * How the parts of a score are weighed; `tenet eval retrieve` is what to tune them by.
 *
 * score = meaning + keywords.weight · keyword match + exactName (when the item is called exactly what the query says), where
 * meaning = Σ over the query's parts of  text · cos(part, item's text vector) + image · cos(part, item's image vector)
 *         + bestText · max over the item's texts of cos(part, text)   (texts in, only).
 */
export const rankingWeights = {
  /** A text as query. */
  textQuery: { text: 0.5, image: 0.3, bestText: 0.4 },
  /** A picture as query. */
  imageQuery: { text: 0.2, image: 1 },
  /** A drawing as query. */
  sketchQuery: { text: 0.2, image: 1 },
  /** An item as query: its text vector meets texts, its image vector meets images. */
  likeQuery: { text: 0.4, image: 0.8 },
  /** Share of the texts when texts and pictures are asked for together. */
  textBesidesImage: 0.6,
  keyword: {
    weight: 0.5,
    prefix: 0.35,
    fuzzy: 0.4,
    boost: { name: 1.5, title: 2, texts: 1 } as Record<string, number>,
  },
  /** More than all other parts together, so that an exact name is always first. */
  exactName: 4,
  /** How a text is understood: see `readingsOf`. */
  readings: {
    /** Ways to understand a text that are searched for. */
    most: 3,
    /** A word that so many items hold is English enough to stand as it is. */
    commonWord: 5,
    /** A name that so many items bear is surely meant. */
    commonName: 20,
    /** A translation besides a word that the collection knows. */
    translationOfKnown: 0.6,
    /** Meanings this sure are searched for too, at this share of their weight. */
    secondMeaning: 0.6,
    second: 0.9,
    /** The next likeliest correction of a misspelt word. */
    nextCorrection: 0.85,
    /** A common word one slip away from a term of the lexicon. */
    slipBesidesTerm: 0.8,
    /** The text as typed, besides what is left of it without its small words. */
    asTyped: 0.9,
  },
  /** Distinct texts nearest to the query that can lift their items. */
  nearestTexts: 300,
  /** Items that the short scan passes on, and the deepest that results can be paged. */
  shortlist: 2000,
}
