import { Download, ShoppingBasket, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { type ApiError, fetchItem, fetchSvg, type Hit, type Item, search } from './api.ts'
import { CopyButton } from './copy-button.tsx'
import {
  cssClasses,
  fileName,
  pngOf,
  saveFile,
  snippets,
  styledSvg,
  svgDataUrl,
  takesColour,
  textOf,
} from './icon-code.ts'
import { Picture } from './picture.tsx'
import type { Basket } from './use-basket.ts'

interface ItemViewProps {
  readonly id: string
  /** The result that led here, with the reasons why it matched. */
  readonly hit?: Hit
  readonly basket: Basket
  readonly setTitle: (set: string) => string
  readonly onClose: () => void
  readonly onOpen: (id: string) => void
  readonly onLike: (id: string) => void
  readonly onWord: (word: string) => void
}

interface Loaded {
  readonly item: Item
  readonly svg?: string
}

/** Everything about one item, and every way to take it along. */
export function ItemView(props: ItemViewProps) {
  const { id, hit, basket, setTitle, onClose, onOpen, onLike, onWord } = props
  const [loaded, setLoaded] = useState<Loaded>()
  const [error, setError] = useState<string>()
  const panel = useRef<HTMLElement>(null)
  useEffect(() => {
    const controller = new AbortController()
    Promise.all([fetchItem(id, controller.signal), fetchSvg(id, controller.signal)]).then(
      ([item, svg]) => {
        setLoaded({ item, svg })
        setError(undefined)
      },
      (cause: ApiError) => {
        if (controller.signal.aborted) return
        setLoaded(undefined)
        setError(cause.message)
      },
    )
    return () => controller.abort()
  }, [id])
  useEffect(() => panel.current?.focus({ preventScroll: true }), [])

  const item = loaded?.item.id === id ? loaded.item : undefined
  const set = textOf(item?.metadata.set)
  return (
    <aside className="item" aria-label={item ? `${item.name}, details` : 'Details'} ref={panel} tabIndex={-1}>
      <header className="panel-head">
        <div>
          <h2>{item?.name ?? id}</h2>
          {set && <p className="quiet">{setTitle(set)}</p>}
        </div>
        <button type="button" className="icon-button" onClick={onClose} aria-label="Close details">
          <X size={18} />
        </button>
      </header>
      {error && <p role="alert">{error}</p>}
      {item && (
        <>
          <Take item={item} svg={loaded?.svg} basket={basket} />
          {hit?.why && <Why why={hit.why} />}
          <section>
            <h3>Words</h3>
            <ul className="words">
              {item.texts.slice(0, 40).map(text => (
                <li key={text}>
                  <button
                    type="button"
                    className={hit?.why?.matched.includes(text) ? 'word matched' : 'word'}
                    onClick={() => onWord(text)}
                  >
                    {text}
                  </button>
                </li>
              ))}
            </ul>
          </section>
          <Similar item={item} onOpen={onOpen} onLike={() => onLike(id)} />
          <Credits item={item} />
        </>
      )}
    </aside>
  )
}

const swatches = ['#111318', '#4f46e5', '#0891b2', '#16a34a', '#d97706', '#dc2626', '#db2777']

function Take({ item, svg, basket }: { readonly item: Item; readonly svg?: string; readonly basket: Basket }) {
  const { id, name, metadata } = item
  const [colour, setColour] = useState<string>()
  const [size, setSize] = useState(48)
  const plain = takesColour(metadata)
  const look = { colour: plain ? colour : undefined, size }
  const chosen = svg && styledSvg(svg, look)
  const inBasket = basket.has(id)
  const savePng = async () => {
    if (svg) saveFile(await pngOf(svg, look), `${fileName(id)}.png`)
  }
  return (
    <section>
      <div className="stage" style={{ color: look.colour }}>
        {svg ? (
          <img
            className={plain && !colour ? 'picture plain' : 'picture'}
            src={svgDataUrl(chosen!)}
            style={{ width: Math.min(size * 2, 176), height: Math.min(size * 2, 176) }}
            alt={name}
          />
        ) : (
          <Picture id={id} metadata={metadata} size={176} alt={name} />
        )}
      </div>
      {svg && plain && (
        <fieldset className="swatches">
          <legend className="visually-hidden">Colour</legend>
          <button
            type="button"
            className="swatch none"
            aria-pressed={!colour}
            onClick={() => setColour(undefined)}
            aria-label="Colour of the text around it"
            title="currentColor"
          />
          {swatches.map(each => (
            <button
              key={each}
              type="button"
              className="swatch"
              style={{ background: each }}
              aria-pressed={colour === each}
              onClick={() => setColour(each)}
              aria-label={`Colour ${each}`}
            />
          ))}
          <label className="swatch own" title="Another colour">
            <span className="visually-hidden">Another colour</span>
            <input type="color" value={colour ?? '#4f46e5'} onChange={event => setColour(event.target.value)} />
          </label>
        </fieldset>
      )}
      {svg && (
        <label className="size">
          <span>Size</span>
          <input
            type="range"
            min={16}
            max={256}
            step={8}
            value={size}
            onChange={e => setSize(Number(e.target.value))}
          />
          <output>{size} px</output>
        </label>
      )}
      <button
        type="button"
        className={inBasket ? 'primary on' : 'primary'}
        onClick={() => basket.toggle(item)}
        aria-pressed={inBasket}
      >
        <ShoppingBasket size={17} aria-hidden="true" /> {inBasket ? 'In the basket' : 'Add to basket'}
      </button>
      <div className="actions">
        {chosen && <CopyButton label="SVG" content={() => chosen} />}
        {svg && <CopyButton label="PNG" content={() => pngOf(svg, look)} />}
        {chosen && <CopyButton label="Data URL" content={() => svgDataUrl(chosen)} />}
        <CopyButton label="Name" content={() => id} />
        {cssClasses(id).map(({ label, code }) => (
          <CopyButton key={label} label={label} content={() => code} />
        ))}
      </div>
      <div className="actions two">
        {chosen && (
          <button
            type="button"
            className="action"
            onClick={() => saveFile(new Blob([chosen], { type: 'image/svg+xml' }), `${fileName(id)}.svg`)}
            aria-label="Download SVG"
          >
            <Download size={15} aria-hidden="true" /> <span>Save SVG</span>
          </button>
        )}
        {svg && (
          <button type="button" className="action" onClick={savePng} aria-label="Download PNG">
            <Download size={15} aria-hidden="true" /> <span>Save PNG</span>
          </button>
        )}
      </div>
      {chosen && <Code name={name} svg={chosen} />}
    </section>
  )
}

function Code({ name, svg }: { readonly name: string; readonly svg: string }) {
  const [at, setAt] = useState(0)
  const all = snippets(name, svg)
  return (
    <div className="code">
      <div className="tabs" role="tablist" aria-label="Snippet">
        {all.map(({ label }, index) => (
          <button
            key={label}
            type="button"
            role="tab"
            aria-selected={index === at}
            tabIndex={index === at ? 0 : -1}
            onClick={() => setAt(index)}
            onKeyDown={event => {
              const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? all.length - 1 : 0
              if (step === 0) return
              const next = (at + step) % all.length
              setAt(next)
              const tabs = event.currentTarget.parentElement?.children
              ;(tabs?.[next] as HTMLElement | undefined)?.focus()
            }}
          >
            {label}
          </button>
        ))}
        <CopyButton label={`${all[at].label} snippet`} content={() => all[at].code} compact />
      </div>
      <pre role="tabpanel" aria-label={`${all[at].label} snippet`}>
        <code>{all[at].code}</code>
      </pre>
    </div>
  )
}

function Why({ why }: { readonly why: NonNullable<Hit['why']> }) {
  const whole = Math.abs(why.meaning) + Math.abs(why.keywords) || 1
  const rows = [
    ['Meaning', Math.max(0, why.meaning) / whole],
    ['Words', Math.max(0, why.keywords) / whole],
  ] as const
  return (
    <section>
      <h3>Why it matched</h3>
      <dl className="why">
        {rows.map(([label, share]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>
              <meter min={0} max={1} value={share} aria-label={`${label}: ${Math.round(100 * share)} %`}>
                {Math.round(100 * share)} %
              </meter>
              <span>{Math.round(100 * share)} %</span>
            </dd>
          </div>
        ))}
      </dl>
      {why.matched.length > 0 && <p className="quiet">matched: {why.matched.slice(0, 8).join(', ')}</p>}
    </section>
  )
}

interface SimilarProps {
  readonly item: Item
  readonly onOpen: (id: string) => void
  readonly onLike: () => void
}

function Similar({ item: { id, metadata }, onOpen, onLike }: SimilarProps) {
  const [hits, setHits] = useState<readonly Hit[]>([])
  const set = textOf(metadata.set)
  useEffect(() => {
    const controller = new AbortController()
    setHits([])
    const where = set ? `set <> '${set.replaceAll("'", "''")}'` : undefined
    search({ like: id, where, top: 15 }, controller.signal).then(
      ({ results }) => setHits(results),
      () => undefined,
    )
    return () => controller.abort()
  }, [id, set])
  if (hits.length === 0) return null
  return (
    <section>
      <header className="row">
        <h3>{set ? 'Similar in other sets' : 'Similar'}</h3>
        <button type="button" className="link" onClick={onLike}>
          Show all
        </button>
      </header>
      <ul className="similar">
        {hits.map(hit => (
          <li key={hit.id}>
            <button type="button" className="cell" onClick={() => onOpen(hit.id)} aria-label={hit.id} title={hit.id}>
              <Picture id={hit.id} metadata={hit.metadata} size={28} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

const hidden = new Set(['set', 'colour', 'concept', 'split', 'emoji'])

function Credits({ item: { id, metadata } }: { readonly item: Item }) {
  const rows = Object.entries(metadata).filter(([field, value]) => !hidden.has(field) && textOf(value) !== '')
  return (
    <section>
      <h3>About</h3>
      <dl className="about">
        <div>
          <dt>id</dt>
          <dd>{id}</dd>
        </div>
        {rows.map(([field, value]) => (
          <div key={field}>
            <dt>{field}</dt>
            <dd>{textOf(value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}
