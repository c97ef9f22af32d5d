import { Check, Copy } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'

interface CopyButtonProps {
  readonly label: string
  /** A text, or a PNG file. */
  readonly content: () => string | Promise<Blob>
  readonly compact?: boolean
}

/** Copies a text or a picture; says so where it stands, and to screen readers. */
export function CopyButton({ label, content, compact = false }: CopyButtonProps) {
  const [state, setState] = useState<'idle' | 'done' | 'failed'>('idle')
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const copy = async () => {
    try {
      const what = content()
      if (typeof what === 'string') await navigator.clipboard.writeText(what)
      else await navigator.clipboard.write([new ClipboardItem({ 'image/png': what })])
      setState('done')
    } catch {
      setState('failed')
    }
    clearTimeout(timer.current)
    timer.current = setTimeout(() => setState('idle'), 1_600)
  }
  const done = state === 'done'
  const words = state === 'idle' ? label : done ? 'Copied' : 'Not allowed'
  return (
    <button
      type="button"
      className={compact ? 'icon-button' : done ? 'action done' : 'action'}
      onClick={copy}
      aria-label={`Copy ${label}`}
      title={`Copy ${label}`}
    >
      {done ? <Check size={15} aria-hidden="true" /> : <Copy size={15} aria-hidden="true" />}
      {!compact && <span>{words}</span>}
      <span role="status" className="visually-hidden">
        {state === 'idle' ? '' : words}
      </span>
    </button>
  )
}
