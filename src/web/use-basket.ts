import { useCallback, useEffect, useState } from 'react'
import type { Metadata } from './api.ts'

export interface BasketItem {
  readonly id: string
  readonly name: string
  readonly metadata: Metadata
}

export interface Basket {
  readonly items: readonly BasketItem[]
  has(id: string): boolean
  toggle(item: BasketItem): void
  clear(): void
}

const key = 'tenet-basket'

function stored(): BasketItem[] {
  try {
    const items: unknown = JSON.parse(localStorage.getItem(key) ?? '[]')
    return Array.isArray(items) ? items.filter(item => typeof item?.id === 'string' && item.metadata) : []
  } catch {
    return []
  }
}

/** Items chosen to be exported together; kept by the browser, and the same in all its windows. */
export function useBasket(): Basket {
  const [items, setItems] = useState<readonly BasketItem[]>(stored)
  useEffect(() => {
    const follow = (event: StorageEvent) => event.key === key && setItems(stored())
    addEventListener('storage', follow)
    return () => removeEventListener('storage', follow)
  }, [])
  const keep = useCallback((change: (items: readonly BasketItem[]) => readonly BasketItem[]) => {
    setItems(before => {
      const next = change(before)
      localStorage.setItem(key, JSON.stringify(next))
      return next
    })
  }, [])
  return {
    items,
    has: id => items.some(item => item.id === id),
    toggle: ({ id, name, metadata }) =>
      keep(before =>
        before.some(item => item.id === id)
          ? before.filter(item => item.id !== id)
          : [...before, { id, name, metadata }],
      ),
    clear: () => keep(() => []),
  }
}
