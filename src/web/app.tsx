import { ImageUp, Moon, SearchX, ShoppingBasket, Sun } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { IndexingBanner, KeyPrompt, OfflineBanner } from './banners.tsx'
import { BasketDialog } from './basket-dialog.tsx'
import { Filters } from './filters.tsx'
import { Grid } from './grid.tsx'
import { ItemView } from './item-view.tsx'
import { Landing } from './landing.tsx'
import { type PageState, usePageState } from './location.ts'
import { QueryPanel } from './query-panel.tsx'
import { pictureOf } from './query-picture.ts'
import { SearchBar } from './search-bar.tsx'
import { chooseTheme, isDark } from './theme.ts'
import { useBasket } from './use-basket.ts'
import { usePageInput } from './use-page-input.ts'
import { bodyOf, type Results, useResults } from './use-results.ts'
import { type Status, useStatus } from './use-status.ts'

export function App() {
  const [state, change] = usePageState()
  const status = useStatus()
  const results = useResults(state)
  const basket = useBasket()
  const [drawing, setDrawing] = useState(false)
  const [basketOpen, setBasketOpen] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  useGrowingResults(status, results)

  const searchByFile = async (file: Blob) => {
    setDrawing(false)
    change({ picture: await pictureOf(file), item: undefined })
  }
  const word = (text: string) => {
    setDrawing(false)
    change({ text, picture: undefined, like: undefined })
    scrollTo({ top: 0 })
  }
  const closeItem = () => {
    change({ item: undefined })
    document.querySelector<HTMLElement>('.grid [tabindex="0"]')?.focus({ preventScroll: true })
  }
  const hovering = usePageInput({
    onFile: searchByFile,
    onSlash: () => input.current?.focus(),
    onEscape: () => state.item && closeItem(),
  })
  if (status.locked) return <KeyPrompt onOpen={status.check} />

  const { collection } = status
  const facets = collection?.facets ?? {}
  const asking = bodyOf(state) !== undefined
  const panel = drawing || state.picture !== undefined
  const setTitle = (set: string) => facets.set?.find(({ value }) => value === set)?.title ?? set
  const layout = ['layout', panel && 'with-panel', state.item && 'with-item'].filter(Boolean).join(' ')
  return (
    <>
      <header className="top">
        <a
          className="brand"
          href="/"
          onClick={event => {
            if (event.ctrlKey || event.metaKey) return
            event.preventDefault()
            setDrawing(false)
            change({ text: '', filters: {}, like: undefined, item: undefined, picture: undefined })
          }}
        >
          <img src="/mark.svg" alt="" width={28} height={28} />
          <span>Tenet</span>
        </a>
        <SearchBar
          state={state}
          input={input}
          drawing={drawing}
          loading={results.loading}
          onText={text => change({ text }, { typing: true })}
          onDraw={() => setDrawing(!drawing)}
          onFile={searchByFile}
          onRemovePicture={() => change({ picture: undefined })}
          onRemoveLike={() => change({ like: undefined })}
        />
        <nav aria-label="Page">
          <button
            type="button"
            className="icon-button"
            onClick={() => setBasketOpen(true)}
            aria-label={`Basket, ${basket.items.length} chosen`}
          >
            <ShoppingBasket size={19} />
            {basket.items.length > 0 && <span className="badge">{basket.items.length}</span>}
          </button>
          <ThemeButton />
        </nav>
      </header>
      {status.offline && <OfflineBanner onRetry={status.check} />}
      {collection?.indexing && <IndexingBanner indexing={collection.indexing} />}
      <main>
        {(asking || panel) && (
          <div className="bar">
            <Filters facets={facets} chosen={state.filters} onChange={filters => change({ filters })} />
            <Summary results={results} asking={asking} />
          </div>
        )}
        <div className={layout}>
          {panel && (
            <QueryPanel
              picture={state.picture}
              drawing={drawing}
              onDraw={url => change({ picture: url ? { url, sketch: true } : undefined }, { typing: true })}
              onCloseDrawing={() => setDrawing(false)}
              onRemovePicture={() => change({ picture: undefined })}
              onWord={word}
            />
          )}
          <div className="middle">
            {asking ? (
              <Found state={state} results={results} offline={status.offline}>
                <Grid
                  hits={results.hits}
                  total={results.total}
                  selected={state.item}
                  basket={basket}
                  onOpen={item => change({ item })}
                  onEnd={results.more}
                />
              </Found>
            ) : (
              !panel && (
                <Landing
                  count={collection?.count ?? 0}
                  onText={text => change({ text })}
                  onDraw={() => setDrawing(true)}
                  onPick={() => document.querySelector<HTMLInputElement>('.search input[type=file]')?.click()}
                />
              )
            )}
          </div>
          {state.item && (
            <ItemView
              key={state.item}
              id={state.item}
              hit={results.hits.find(({ id }) => id === state.item)}
              basket={basket}
              setTitle={setTitle}
              onClose={closeItem}
              onOpen={item => change({ item })}
              onLike={like => change({ like, text: '', picture: undefined, item: undefined })}
              onWord={word}
            />
          )}
        </div>
      </main>
      {basketOpen && <BasketDialog basket={basket} onClose={() => setBasketOpen(false)} />}
      {hovering && (
        <div className="drop" aria-hidden="true">
          <div>
            <ImageUp size={40} />
            <p>Drop it to find what looks like it</p>
          </div>
        </div>
      )}
    </>
  )
}

/** While the index grows, and when the server is back, the same query finds more. */
function useGrowingResults({ collection, offline }: Status, { refresh, hits }: Results): void {
  const step = collection?.indexing ? Math.floor(collection.count / 10_000) : collection?.count
  const seen = useRef(step)
  const wasOffline = useRef(offline)
  useEffect(() => {
    const grown = seen.current !== undefined && step !== seen.current && hits.length < 400
    const back = wasOffline.current && !offline
    seen.current = step
    wasOffline.current = offline
    if (grown || back) refresh()
  }, [step, offline, refresh, hits.length])
}

const languageNames = new Intl.DisplayNames(['en'], { type: 'language' })

/** 'for “bicycle”, ' where the words were not taken as they were typed; translations name their language. */
function changedWords(understood: Results['understood']): string {
  const told = (understood ?? [])
    .filter(({ because }) => because !== 'phrase')
    .map(({ text, because, languages = [] }) => {
      const language = because === 'language' && languages.length === 1 ? languageNames.of(languages[0]) : undefined
      return `“${text}”${language ? ` (${language})` : ''}`
    })
  return told.length > 0 ? `for ${told.join(' and ')} ` : ''
}

function Summary({
  results: { hits, total, milliseconds, understood, error },
  asking,
}: {
  readonly results: Results
  readonly asking: boolean
}) {
  const text = !asking || error || hits.length === 0 ? '' : `${total.toLocaleString('en')} results`
  return (
    <p className="summary">
      <span role="status">{text}</span>
      {text && (
        <span className="quiet wide">
          {' '}
          {changedWords(understood)}in {milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms
        </span>
      )}
    </p>
  )
}

interface FoundProps {
  readonly state: PageState
  readonly results: Results
  readonly offline: boolean
  readonly children: React.ReactNode
}

/** The results, or why there are none. */
function Found({ state, results: { hits, loading, error }, offline, children }: FoundProps) {
  if (error && !(offline && error.status === 0))
    return (
      <div className="empty" role="alert">
        <SearchX size={36} aria-hidden="true" />
        <h2>This cannot be searched</h2>
        <p>{error.message}</p>
      </div>
    )
  if (hits.length > 0) return children
  if (loading || error) return <div className="empty" aria-busy={loading} />
  const filtered = Object.keys(state.filters).length > 0
  return (
    <div className="empty" role="status">
      <SearchX size={36} aria-hidden="true" />
      <h2>Nothing found</h2>
      <p>
        {filtered
          ? 'No item fits these filters. Take one away, or say it another way.'
          : 'Try other words, or draw it.'}
      </p>
    </div>
  )
}

function ThemeButton() {
  const [dark, setDark] = useState(isDark)
  return (
    <button
      type="button"
      className="icon-button"
      onClick={() => {
        chooseTheme(dark ? 'light' : 'dark')
        setDark(!dark)
      }}
      aria-label={dark ? 'Light colours' : 'Dark colours'}
      title={dark ? 'Light colours' : 'Dark colours'}
    >
      {dark ? <Sun size={19} /> : <Moon size={19} />}
    </button>
  )
}
