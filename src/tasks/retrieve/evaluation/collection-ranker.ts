import sharp from 'sharp'
import type { Picture, Ranker } from './ranker.ts'

/** What of a collection's search is asked here. */
export interface Searchable {
  search(request: {
    text?: string
    image?: Uint8Array
    sketch?: boolean
    top?: number
    mode?: 'hybrid' | 'meaning' | 'keywords'
  }): Promise<{ readonly results: readonly { readonly id: string }[] }>
}

/** The deepest that a collection is asked; what stands further down counts as not found. */
const deepest = 2000

const encodePng = ({ pixels, size }: Picture): Promise<Uint8Array> =>
  sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer()

/**
 * A collection as a ranker, asked exactly as a user asks it: pictures go in as PNG files.
 *
 * @param mode how texts are searched; default by meaning and by keywords together
 */
export function collectionRanker(
  name: string,
  collection: Searchable,
  mode: 'hybrid' | 'meaning' | 'keywords' = 'hybrid',
): Ranker {
  return {
    name,
    answers: query => query.text !== undefined || mode !== 'keywords',
    async rank({ text, image, sketch }, k) {
      const asked = image ? { image: await encodePng(image), sketch } : { text, mode }
      const { results } = await collection.search({ ...asked, top: Math.min(k, deepest) })
      return results.map(({ id }) => id)
    },
  }
}
