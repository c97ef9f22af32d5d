import { X } from 'lucide-react'
import { useEffect, useState } from 'react'
import { type ApiError, describe, type Words } from './api.ts'
import { DrawingPad } from './drawing-pad.tsx'
import type { QueryPicture } from './location.ts'

interface QueryPanelProps {
  readonly picture?: QueryPicture
  readonly drawing: boolean
  readonly onDraw: (url: string | undefined) => void
  readonly onCloseDrawing: () => void
  readonly onRemovePicture: () => void
  readonly onWord: (word: string) => void
}

/** The picture that is searched by, or the pad to draw it on, with the words that the engine has for it. */
export function QueryPanel(props: QueryPanelProps) {
  const { picture, drawing, onDraw, onCloseDrawing, onRemovePicture, onWord } = props
  return (
    <aside className="query-panel" aria-label="Picture of the search">
      {drawing ? (
        <DrawingPad onDraw={onDraw} onClose={onCloseDrawing} />
      ) : (
        picture && (
          <section>
            <header className="panel-head">
              <h2>{picture.sketch ? 'Your drawing' : 'Your picture'}</h2>
              <button type="button" className="icon-button" onClick={onRemovePicture} aria-label="Remove picture">
                <X size={18} />
              </button>
            </header>
            <div className="paper">
              <img src={picture.url} alt="what is searched by" />
            </div>
          </section>
        )
      )}
      {picture && <PictureWords url={picture.url} onWord={onWord} />}
    </aside>
  )
}

function PictureWords({ url, onWord }: { readonly url: string; readonly onWord: (word: string) => void }) {
  const [words, setWords] = useState<Words['words']>([])
  const [error, setError] = useState<string>()
  useEffect(() => {
    const controller = new AbortController()
    describe(url, 12, controller.signal).then(
      answer => {
        setWords(answer.words)
        setError(undefined)
      },
      (cause: ApiError) => {
        if (controller.signal.aborted) return
        setWords([])
        setError(cause.message)
      },
    )
    return () => controller.abort()
  }, [url])
  if (error || words.length === 0) return null
  return (
    <section>
      <h3>Words for it</h3>
      <ul className="words">
        {words.map(({ text, count }) => (
          <li key={text}>
            <button type="button" className="word" onClick={() => onWord(text)} title={`${count} items`}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
