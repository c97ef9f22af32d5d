import { ImageUp, Pencil, Search, X } from 'lucide-react'
import { type RefObject, useRef } from 'react'
import type { PageState } from './location.ts'

interface SearchBarProps {
  readonly state: PageState
  readonly input: RefObject<HTMLInputElement | null>
  readonly drawing: boolean
  readonly loading: boolean
  readonly onText: (text: string) => void
  readonly onDraw: () => void
  readonly onFile: (file: Blob) => void
  readonly onRemovePicture: () => void
  readonly onRemoveLike: () => void
}

/** Text, drawing, picture and example, in one box. */
export function SearchBar(props: SearchBarProps) {
  const { state, input, drawing, loading, onText, onDraw, onFile, onRemovePicture, onRemoveLike } = props
  const file = useRef<HTMLInputElement>(null)
  return (
    <search className={loading ? 'search busy' : 'search'}>
      <Search size={20} aria-hidden="true" />
      {state.picture && (
        <span className="query-chip">
          <img src={state.picture.url} alt={state.picture.sketch ? 'your drawing' : 'your picture'} />
          <button type="button" onClick={onRemovePicture} aria-label="Remove picture from the search">
            <X size={13} />
          </button>
        </span>
      )}
      {state.like && (
        <span className="query-chip">
          <span>like {state.like}</span>
          <button type="button" onClick={onRemoveLike} aria-label="Remove example from the search">
            <X size={13} />
          </button>
        </span>
      )}
      <input
        ref={input}
        type="search"
        value={state.text}
        maxLength={500}
        placeholder={state.picture || state.like ? 'and …' : 'Search in your own words'}
        aria-label="Search in your own words"
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        onChange={event => onText(event.target.value)}
        onKeyDown={event => {
          if (event.key !== 'ArrowDown') return
          event.preventDefault()
          document.querySelector<HTMLElement>('.grid [tabindex="0"]')?.focus()
        }}
      />
      {state.text && (
        <button
          type="button"
          className="icon-button"
          onClick={() => {
            onText('')
            input.current?.focus()
          }}
          aria-label="Clear text"
        >
          <X size={18} />
        </button>
      )}
      <i className="rule" aria-hidden="true" />
      <button
        type="button"
        className={drawing ? 'icon-button on' : 'icon-button'}
        aria-pressed={drawing}
        onClick={onDraw}
        aria-label="Search by drawing"
        title="Search by drawing"
      >
        <Pencil size={18} />
      </button>
      <button
        type="button"
        className="icon-button"
        onClick={() => file.current?.click()}
        aria-label="Search by picture"
        title="Search by picture: pick, drop or paste one"
      >
        <ImageUp size={18} />
      </button>
      <input
        ref={file}
        type="file"
        accept="image/*,.svg"
        hidden
        aria-label="Picture to search by"
        onChange={event => {
          const [picked] = event.target.files ?? []
          if (picked) onFile(picked)
          event.target.value = ''
        }}
      />
    </search>
  )
}
