import { useEffect, useRef, useState } from 'react'
import { pictureFile } from './query-picture.ts'

const isField = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement

interface PageInput {
  readonly onFile: (file: Blob) => void
  readonly onSlash: () => void
  readonly onEscape: () => void
}

/** Pictures dropped or pasted anywhere, and the keys of the whole page. @returns whether a file hovers over the page */
export function usePageInput(input: PageInput): boolean {
  const [hovering, setHovering] = useState(false)
  const handlers = useRef(input)
  handlers.current = input
  useEffect(() => {
    let depth = 0
    const holdsFile = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    const enter = (event: DragEvent) => {
      if (!holdsFile(event)) return
      depth++
      setHovering(true)
    }
    const over = (event: DragEvent) => holdsFile(event) && event.preventDefault()
    const leave = () => {
      depth = Math.max(0, depth - 1)
      if (depth === 0) setHovering(false)
    }
    const drop = (event: DragEvent) => {
      depth = 0
      setHovering(false)
      if (!holdsFile(event)) return
      event.preventDefault()
      const file = pictureFile(event.dataTransfer)
      if (file) handlers.current.onFile(file)
    }
    const paste = (event: ClipboardEvent) => {
      const file = pictureFile(event.clipboardData)
      if (!file) return
      event.preventDefault()
      handlers.current.onFile(file)
    }
    const key = (event: KeyboardEvent) => {
      if (event.key === '/' && !isField(event.target) && !event.ctrlKey && !event.metaKey) {
        event.preventDefault()
        handlers.current.onSlash()
      }
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) handlers.current.onEscape()
    }
    addEventListener('dragenter', enter)
    addEventListener('dragover', over)
    addEventListener('dragleave', leave)
    addEventListener('drop', drop)
    addEventListener('paste', paste)
    addEventListener('keydown', key)
    return () => {
      removeEventListener('dragenter', enter)
      removeEventListener('dragover', over)
      removeEventListener('dragleave', leave)
      removeEventListener('drop', drop)
      removeEventListener('paste', paste)
      removeEventListener('keydown', key)
    }
  }, [])
  return hovering
}
