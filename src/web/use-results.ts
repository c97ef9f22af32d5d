import { useCallback, useEffect, useRef, useState } from 'react'
import type { SearchResult } from '../server/searchable.ts'
import { ApiError, type Hit, type SearchBody, search } from './api.ts'
import { type PageState, whereOf } from './location.ts'

const pageSize = 200
/** Long enough that a fast typist causes one search a word, short enough to feel immediate. */
const typingPause = 120

export interface Results {
  readonly hits: readonly Hit[]
  readonly total: number
  readonly milliseconds: number
  /** What was searched for where not what was typed. */
  readonly understood?: SearchResult['understood']
  /** A query is being answered; the hits are still those of the one before. */
  readonly loading: boolean
  readonly error?: ApiError
  /** Fetches the next page, if there is one. */
  more(): void
  /** Asks again: after an error, or when the collection has grown. */
  refresh(): void
}

/** The request that a page's state makes, or undefined when there is nothing to look for. */
export function bodyOf({ text, picture, like, filters }: PageState): SearchBody | undefined {
  const where = whereOf(filters)
  const words = text.trim().slice(0, 500)
  if (!words && !picture && !like && !where) return undefined
  return {
    ...(words && { text: words }),
    ...(picture && { image: picture.url, sketch: picture.sketch }),
    ...(like && { like }),
    ...(where && { where }),
    top: pageSize,
  }
}

type Answer = Omit<Results, 'more' | 'refresh'>

const nothing: Answer = { hits: [], total: 0, milliseconds: 0, loading: false }

const asApiError = (error: unknown) => (error instanceof ApiError ? error : new ApiError(-1, String(error)))

/** Results as the query changes: the earlier request is cancelled, its hits stay until the new ones are there. */
export function useResults(state: PageState): Results {
  const key = JSON.stringify(bodyOf(state) ?? null)
  const [answer, setAnswer] = useState<Answer>(nothing)
  const [asked, setAsked] = useState(0)
  const fetching = useRef<AbortController | undefined>(undefined)

  useEffect(() => {
    const body = JSON.parse(key) as SearchBody | null
    if (!body) {
      setAnswer(nothing)
      return
    }
    const controller = new AbortController()
    fetching.current = undefined
    setAnswer(before => ({ ...before, loading: true }))
    const ask = async () => {
      try {
        const { results, total, milliseconds, understood } = await search(body, controller.signal)
        setAnswer({ hits: results, total, milliseconds, understood, loading: false })
      } catch (error) {
        if (controller.signal.aborted) return
        setAnswer({ ...nothing, error: asApiError(error) })
      }
    }
    const timer = setTimeout(ask, asked === 0 ? 0 : typingPause)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [key, asked])

  // The first query of a page comes from its address, the later ones from typing.
  useEffect(() => setAsked(count => Math.max(count, 1)), [])

  const more = useCallback(() => {
    const body = JSON.parse(key) as SearchBody | null
    if (!body || fetching.current || answer.loading || answer.hits.length >= answer.total) return
    const controller = new AbortController()
    fetching.current = controller
    search({ ...body, offset: answer.hits.length }, controller.signal)
      .then(({ results, total }) => {
        if (fetching.current !== controller) return
        const known = new Set(answer.hits.map(({ id }) => id))
        const fresh = results.filter(({ id }) => !known.has(id))
        setAnswer(before => ({
          ...before,
          hits: [...before.hits, ...fresh],
          total: results.length ? total : before.hits.length,
        }))
        fetching.current = undefined
      })
      .catch(() => {
        fetching.current = undefined
      })
  }, [key, answer])

  const refresh = useCallback(() => setAsked(count => count + 1), [])
  return { ...answer, more, refresh }
}
