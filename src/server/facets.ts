import type { Collection } from '../search/index.ts'
import type { Facets } from './searchable.ts'

/** Fields with more values than this are no choice but a list. */
const mostValues = 200
const mostFields = 6
/** Counting looks at every item, so it is not done anew at each batch of an indexing. */
const countEvery = 5_000

export interface FacetOptions {
  /** Metadata to filter by; by default what the first items have, if it has a choosable number of values. */
  readonly fields?: readonly string[]
  /** What a value is called in full, by field. */
  readonly titles?: Readonly<Record<string, ReadonlyMap<string, string>>>
}

/** Counts the values that a collection can be filtered by; kept until the collection has changed. */
export function collectionFacets(collection: Collection, { fields, titles = {} }: FacetOptions = {}) {
  let known: { readonly facets: Facets; readonly count: number; readonly at: number } | undefined
  return async (): Promise<Facets> => {
    const { count } = collection
    const now = performance.now()
    if (known && (known.count === count || now - known.at < countEvery)) return known.facets
    const counted = collection.facets(fields ?? (await filterableFields(collection)), mostValues + 1)
    const facets = Object.fromEntries(
      Object.entries(counted)
        .filter(([, values]) => values.length > 1 && values.length <= mostValues)
        .slice(0, mostFields)
        .map(([field, values]) => [
          field,
          values.map(({ value, count: items }) => ({ value, count: items, title: titles[field]?.get(value) })),
        ]),
    )
    known = { facets, count, at: now }
    return facets
  }
}

/** Metadata of the first items whose values are texts or flags; lists cannot be compared with a value in SQL. */
async function filterableFields(collection: Collection): Promise<string[]> {
  const { results } = await collection.search({ top: 100 })
  const fields = new Set<string>()
  for (const { metadata } of results)
    for (const [field, value] of Object.entries(metadata)) if (typeof value === 'string') fields.add(field)
  return [...fields]
}
