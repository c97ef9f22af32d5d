import { LockKeyhole, WifiOff } from 'lucide-react'
import { useState } from 'react'
import { type ApiError, type IndexingProgress, openSession } from './api.ts'

const duration = (seconds: number): string =>
  seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.max(1, Math.round(seconds))} s`

/** How far the index is; what is indexed can be found already. */
export function IndexingBanner({ indexing }: { readonly indexing: IndexingProgress }) {
  const { done, total, rate, secondsLeft, error } = indexing
  if (error)
    return (
      <p className="banner bad" role="alert">
        Indexing stopped: {error}
      </p>
    )
  return (
    <div className="banner">
      <span>
        Indexing {done.toLocaleString('en')}
        {total !== undefined && ` of ${total.toLocaleString('en')}`}
      </span>
      <progress aria-label="Indexing" value={total ? done : undefined} max={total || undefined} />
      <span className="quiet">
        {Math.round(rate).toLocaleString('en')}/s{secondsLeft !== undefined && ` · ${duration(secondsLeft)} left`}
        <span className="wide"> · you can search already</span>
      </span>
    </div>
  )
}

export function OfflineBanner({ onRetry }: { readonly onRetry: () => void }) {
  return (
    <div className="banner bad" role="alert">
      <WifiOff size={16} aria-hidden="true" />
      <span>The server does not answer. The page goes on by itself when it is back.</span>
      <button type="button" className="link" onClick={onRetry}>
        Try now
      </button>
    </div>
  )
}

/** Asks for the API key of a server that other machines can reach. */
export function KeyPrompt({ onOpen }: { readonly onOpen: () => void }) {
  const [key, setKey] = useState('')
  const [error, setError] = useState<string>()
  return (
    <form
      className="key-prompt"
      onSubmit={event => {
        event.preventDefault()
        openSession(key).then(onOpen, (cause: ApiError) => setError(cause.message))
      }}
    >
      <LockKeyhole size={28} aria-hidden="true" />
      <h1>This server asks for a key</h1>
      <input
        type="password"
        value={key}
        onChange={event => setKey(event.target.value)}
        aria-label="API key"
        placeholder="API key"
        autoComplete="current-password"
        required
      />
      <button type="submit" className="primary">
        Open
      </button>
      {error && <p role="alert">{error}</p>}
    </form>
  )
}
