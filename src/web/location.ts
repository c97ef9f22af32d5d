import { useCallback, useEffect, useRef, useState } from 'react'

/** A picture or drawing that is searched by. */
export interface QueryPicture {
  /** A data URL of the file. */
  readonly url: string
  readonly sketch: boolean
}

/** Everything that decides what the page shows. Texts stand in the address, the picture in the history entry. */
export interface PageState {
  readonly text: string
  readonly filters: Readonly<Record<string, readonly string[]>>
  /** Item whose likes are shown. */
  readonly like?: string
  /** Item whose details are open. */
  readonly item?: string
  readonly picture?: QueryPicture
}

const reserved = new Set(['q', 'like', 'item'])

export function readAddress(search: string, historyState: unknown): PageState {
  const parameters = new URLSearchParams(search)
  const filters: Record<string, string[]> = {}
  for (const [field, value] of parameters) if (!reserved.has(field)) filters[field] = [...(filters[field] ?? []), value]
  const picture = (historyState as { picture?: QueryPicture } | null)?.picture
  return {
    text: parameters.get('q') ?? '',
    filters,
    like: parameters.get('like') ?? undefined,
    item: parameters.get('item') ?? undefined,
    picture,
  }
}

export function writeAddress({ text, filters, like, item }: PageState): string {
  const parameters = new URLSearchParams()
  if (text.trim()) parameters.set('q', text)
  if (like) parameters.set('like', like)
  for (const [field, values] of Object.entries(filters)) for (const value of values) parameters.append(field, value)
  if (item) parameters.set('item', item)
  const query = parameters.toString().replaceAll('%3A', ':')
  return query ? `/?${query}` : '/'
}

const quote = (value: string) => `'${value.replaceAll("'", "''")}'`

/** The chosen filters as a condition: any of the values of one field, and all fields. */
export function whereOf(filters: PageState['filters']): string | undefined {
  const parts = Object.entries(filters)
    .filter(([, values]) => values.length > 0)
    .map(([field, values]) => `${field} IN (${values.map(quote).join(', ')})`)
  return parts.length ? parts.join(' AND ') : undefined
}

/** Changes within this time are one step of the history: a word is typed letter by letter. */
const oneStepMilliseconds = 1_500

export type Change = (change: Partial<PageState>, options?: { typing?: boolean }) => void

/** The page's state, kept in the browser's history so that back and forward work. */
export function usePageState(): [PageState, Change] {
  const [state, setState] = useState(() => readAddress(location.search, history.state))
  const current = useRef(state)
  const lastTyped = useRef(0)

  useEffect(() => {
    const restore = () => {
      current.current = readAddress(location.search, history.state)
      lastTyped.current = 0
      setState(current.current)
    }
    addEventListener('popstate', restore)
    return () => removeEventListener('popstate', restore)
  }, [])

  const change = useCallback<Change>((part, { typing = false } = {}) => {
    const next = { ...current.current, ...part }
    const now = Date.now()
    const sameStep = typing && now - lastTyped.current < oneStepMilliseconds
    lastTyped.current = typing ? now : 0
    current.current = next
    const entry = next.picture ? { picture: next.picture } : null
    if (sameStep) history.replaceState(entry, '', writeAddress(next))
    else history.pushState(entry, '', writeAddress(next))
    setState(next)
  }, [])
  return [state, change]
}
