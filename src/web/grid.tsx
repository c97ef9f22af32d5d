import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { Check } from 'lucide-react'
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { Hit } from './api.ts'
import { textOf } from './icon-code.ts'
import { Picture } from './picture.tsx'
import type { Basket } from './use-basket.ts'

interface GridProps {
  readonly hits: readonly Hit[]
  readonly total: number
  readonly selected?: string
  readonly basket: Basket
  readonly onOpen: (id: string) => void
  readonly onEnd: () => void
}

const leastCell = 104
const rowHeight = 124

/** How many cells stand in a row of this element. */
function useColumns(element: React.RefObject<HTMLElement | null>): number {
  const [columns, setColumns] = useState(6)
  useLayoutEffect(() => {
    const node = element.current
    if (!node) return
    const measure = () => setColumns(Math.max(2, Math.floor(node.clientWidth / leastCell)))
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(node)
    return () => observer.disconnect()
  }, [element])
  return columns
}

/** Where a key leads from one cell, or undefined when it is no key of the grid's. */
export function cellAfter(key: string, at: number, columns: number, count: number): number | undefined {
  const steps: Readonly<Record<string, number>> = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    ArrowDown: at + columns,
    ArrowUp: at - columns,
    PageDown: at + 4 * columns,
    PageUp: at - 4 * columns,
    Home: 0,
    End: count - 1,
  }
  const next = steps[key]
  if (next === undefined) return undefined
  return next < 0 && key === 'ArrowUp' ? -1 : Math.min(count - 1, Math.max(0, next))
}

/** Results in rows, of which only those in sight exist, however many there are. */
export function Grid({ hits, total, selected, basket, onOpen, onEnd }: GridProps) {
  const list = useRef<HTMLUListElement>(null)
  const columns = useColumns(list)
  const [active, setActive] = useState(0)
  const focusWanted = useRef(false)
  const rows = Math.ceil(hits.length / columns)
  const virtualizer = useWindowVirtualizer({
    count: rows,
    estimateSize: () => rowHeight,
    overscan: 6,
    scrollMargin: list.current?.offsetTop ?? 0,
  })
  const visible = virtualizer.getVirtualItems()
  const lastRow = visible.at(-1)?.index ?? 0

  useEffect(() => {
    if (rows > 0 && lastRow >= rows - 4 && hits.length < total) onEnd()
  }, [lastRow, rows, hits.length, total, onEnd])
  // biome-ignore lint/correctness/useExhaustiveDependencies: another list of hits starts at its first cell
  useEffect(() => setActive(0), [hits[0]?.id])
  useEffect(() => {
    if (!focusWanted.current) return
    const cell = list.current?.querySelector<HTMLElement>(`[data-cell="${active}"]`)
    if (!cell) return
    focusWanted.current = false
    cell.focus({ preventScroll: true })
  })

  const move = (event: KeyboardEvent) => {
    const next = cellAfter(event.key, active, columns, hits.length)
    if (next === undefined || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    if (next === -1) {
      document.querySelector<HTMLElement>('.search input[type=search]')?.focus()
      return
    }
    focusWanted.current = true
    setActive(next)
    virtualizer.scrollToIndex(Math.floor(next / columns), { align: 'auto' })
  }

  return (
    <ul
      ref={list}
      className="grid"
      aria-label="Results"
      onKeyDown={move}
      style={{ height: virtualizer.getTotalSize() }}
    >
      {visible.flatMap(row =>
        hits.slice(row.index * columns, (row.index + 1) * columns).map((hit, column) => {
          const place = row.index * columns + column
          const { id, name, metadata } = hit
          const set = textOf(metadata.set)
          return (
            <li
              key={id}
              aria-setsize={total}
              aria-posinset={place + 1}
              style={{
                width: `${100 / columns}%`,
                height: rowHeight,
                transform: `translate(${100 * column}%, ${row.start - virtualizer.options.scrollMargin}px)`,
              }}
            >
              <button
                type="button"
                data-cell={place}
                tabIndex={place === active ? 0 : -1}
                aria-pressed={id === selected}
                aria-label={set ? `${name}, ${set}` : name}
                className="cell"
                onFocus={() => setActive(place)}
                onClick={event => (event.ctrlKey || event.metaKey || event.shiftKey ? basket.toggle(hit) : onOpen(id))}
                title={set ? `${name} · ${set}` : name}
              >
                <Picture id={id} metadata={metadata} size={40} />
                <span className="cell-name">{name}</span>
                {set && <span className="cell-set">{set}</span>}
                {basket.has(id) && (
                  <span className="cell-mark">
                    <Check size={12} strokeWidth={3} aria-label="in the basket" />
                  </span>
                )}
              </button>
            </li>
          )
        }),
      )}
    </ul>
  )
}
