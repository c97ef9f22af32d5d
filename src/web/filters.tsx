import { Check, ChevronDown } from 'lucide-react'
import { useEffect, useId, useRef, useState } from 'react'
import type { Facets } from './api.ts'
import type { PageState } from './location.ts'

interface FiltersProps {
  readonly facets: Facets
  readonly chosen: PageState['filters']
  readonly onChange: (chosen: PageState['filters']) => void
}

const titleOf = (field: string) => field.charAt(0).toUpperCase() + field.slice(1).replaceAll('_', ' ')

/** One menu a field: any of the chosen values is allowed. */
export function Filters({ facets, chosen, onChange }: FiltersProps) {
  const fields = Object.keys(facets).filter(field => facets[field].length > 1)
  const count = Object.values(chosen).flat().length
  if (fields.length === 0) return null
  return (
    <fieldset className="filters">
      <legend className="visually-hidden">Filters</legend>
      {fields.map(field => (
        <FilterMenu
          key={field}
          title={titleOf(field)}
          values={facets[field]}
          chosen={chosen[field] ?? []}
          onChange={values => {
            const { [field]: _, ...others } = chosen
            onChange(values.length ? { ...others, [field]: values } : others)
          }}
        />
      ))}
      {count > 0 && (
        <button type="button" className="link" onClick={() => onChange({})}>
          Clear {count === 1 ? 'filter' : 'filters'}
        </button>
      )}
    </fieldset>
  )
}

interface FilterMenuProps {
  readonly title: string
  readonly values: Facets[string]
  readonly chosen: readonly string[]
  readonly onChange: (values: readonly string[]) => void
}

function FilterMenu({ title, values, chosen, onChange }: FilterMenuProps) {
  const [open, setOpen] = useState(false)
  const [narrow, setNarrow] = useState('')
  const box = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const listId = useId()

  useEffect(() => {
    if (!open) return
    const away = (event: Event) => box.current?.contains(event.target as Node) || setOpen(false)
    const close = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      setOpen(false)
      button.current?.focus()
    }
    addEventListener('pointerdown', away)
    addEventListener('focusin', away)
    addEventListener('keydown', close, true)
    return () => {
      removeEventListener('pointerdown', away)
      removeEventListener('focusin', away)
      removeEventListener('keydown', close, true)
    }
  }, [open])

  const label = (value: string) => values.find(each => each.value === value)?.title ?? value
  const wanted = narrow.toLowerCase()
  const shown = values.filter(({ value, title: full = '' }) => `${value} ${full}`.toLowerCase().includes(wanted))
  const summary = chosen.length === 0 ? title : chosen.length === 1 ? label(chosen[0]) : `${title}: ${chosen.length}`
  return (
    <div className="filter" ref={box}>
      <button
        type="button"
        ref={button}
        className={chosen.length ? 'chip on' : 'chip'}
        aria-expanded={open}
        aria-controls={listId}
        onClick={() => setOpen(!open)}
      >
        {summary} <ChevronDown size={14} aria-hidden="true" />
      </button>
      {open && (
        <div className="menu" id={listId}>
          {values.length > 8 && (
            <input
              type="text"
              className="menu-search"
              placeholder={`Find a ${title.toLowerCase()}`}
              aria-label={`Find a ${title.toLowerCase()}`}
              value={narrow}
              onChange={event => setNarrow(event.target.value)}
            />
          )}
          <ul>
            {shown.map(({ value, count, title: full }) => {
              const on = chosen.includes(value)
              return (
                <li key={value}>
                  <label className="option">
                    <input
                      type="checkbox"
                      checked={on}
                      onChange={() => onChange(on ? chosen.filter(each => each !== value) : [...chosen, value])}
                    />
                    <span className="tick" aria-hidden="true">
                      {on && <Check size={12} strokeWidth={3} />}
                    </span>
                    <span className="option-name">{full ?? value}</span>
                    <span className="count">{count.toLocaleString('en')}</span>
                  </label>
                </li>
              )
            })}
            {shown.length === 0 && <li className="quiet">none</li>}
          </ul>
        </div>
      )}
    </div>
  )
}
