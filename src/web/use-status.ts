import { useCallback, useEffect, useState } from 'react'
import { ApiError, type CollectionInfo, fetchCollections, fetchHealth } from './api.ts'

const whileIndexing = 1_000
const whileOffline = 2_000
const otherwise = 15_000

export interface Status {
  readonly collection?: CollectionInfo
  readonly offline: boolean
  readonly locked: boolean
  /** Looks again now. */
  check(): void
}

/** What the server says of itself: asked often while it indexes or does not answer, seldom otherwise. */
export function useStatus(): Status {
  const [status, setStatus] = useState<Omit<Status, 'check'>>({ offline: false, locked: false })
  const [asked, setAsked] = useState(0)

  // biome-ignore lint/correctness/useExhaustiveDependencies: `asked` starts the loop anew
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let stopped = false
    let collection: CollectionInfo | undefined
    const look = async (): Promise<number> => {
      try {
        if (!collection || collection.indexing) [collection] = (await fetchCollections()).collections
        else {
          const [now] = (await fetchHealth()).collections ?? []
          if (now && (now.indexing || now.count !== collection.count))
            [collection] = (await fetchCollections()).collections
        }
        if (!stopped) setStatus({ collection, offline: false, locked: false })
        const growing = collection?.count === 0 || (collection?.indexing && !collection.indexing.error)
        return growing ? whileIndexing : otherwise
      } catch (error) {
        const { status: code } = error as ApiError
        if (!stopped) setStatus(before => ({ ...before, offline: code === 0, locked: code === 401 }))
        return error instanceof ApiError && code === 401 ? 3_600_000 : whileOffline
      }
    }
    const loop = async () => {
      const wait = await look()
      if (!stopped) timer = setTimeout(loop, wait)
    }
    void loop()
    return () => {
      stopped = true
      clearTimeout(timer)
    }
  }, [asked])

  const check = useCallback(() => setAsked(count => count + 1), [])
  return { ...status, check }
}
