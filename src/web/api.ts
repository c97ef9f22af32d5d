import type { Facets, Hit, IndexingProgress, Metadata, SearchResult } from '../server/searchable.ts'

export type { Facets, Hit, IndexingProgress, Metadata, SearchResult }

export interface Item {
  readonly id: string
  readonly name: string
  readonly texts: readonly string[]
  readonly metadata: Metadata
  readonly image?: string
}

export interface CollectionStatus {
  readonly name: string
  readonly count: number
  readonly indexing?: IndexingProgress
}

export interface CollectionInfo extends CollectionStatus {
  readonly facets: Facets
}

export interface Words {
  readonly words: readonly { readonly text: string; readonly score: number; readonly count: number }[]
}

export interface SearchBody {
  text?: string
  image?: string
  sketch?: boolean
  like?: string
  where?: string
  top: number
  offset?: number
}

/** An answer that says why it is none, or (status 0) a server that does not answer. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function request<T>(path: string, init: RequestInit = {}): Promise<T> {
  const unanswered = (error: unknown) => {
    if ((error as Error).name === 'AbortError') throw error
    throw new ApiError(0, 'The server does not answer.')
  }
  const response = await fetch(path, init).catch(unanswered)
  const text = await response.text().catch(unanswered)
  const body = parsed(text) as (T & { error?: string }) | undefined
  if (!response.ok || body === undefined)
    throw new ApiError(response.status, body?.error ?? `The server answered with ${response.status} and no reason.`)
  return body
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

const send = <T>(path: string, body: object, signal?: AbortSignal) =>
  request<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  })

export const search = (body: SearchBody, signal?: AbortSignal) => send<SearchResult>('/search', body, signal)
export const describe = (image: string, top: number, signal?: AbortSignal) =>
  send<Words>('/describe', { image, top }, signal)
export const fetchItem = (id: string, signal?: AbortSignal) =>
  request<Item>(`/items/${encodeURIComponent(id)}`, { signal })
export const fetchPictures = (ids: readonly string[]) =>
  send<{ pictures: Record<string, string> }>('/pictures', { ids })
export const fetchCollections = () => request<{ collections: CollectionInfo[] }>('/collections')
export const fetchHealth = () => request<{ collections?: CollectionStatus[] }>('/health')
export const openSession = (key: string) => send<{ ok: true }>('/session', { key })

export const imageAddress = (id: string): string => `/items/${encodeURIComponent(id)}/image`

/** The picture of an item as a document, when it is an SVG. */
export async function fetchSvg(id: string, signal?: AbortSignal): Promise<string | undefined> {
  const response = await fetch(imageAddress(id), { signal })
  const isSvg = response.headers.get('content-type')?.startsWith('image/svg+xml')
  return response.ok && isSvg ? response.text() : undefined
}
