import { Eraser, Undo2, X } from 'lucide-react'
import { type PointerEvent, useEffect, useRef, useState } from 'react'
import { paint, pictureOfStrokes, type Stroke } from './drawing.ts'

interface DrawingPadProps {
  /** Called with a PNG data URL after each stroke, or with undefined when the pad is empty again. */
  onDraw(picture: string | undefined): void
  onClose(): void
}

const side = 288

/** A sheet to draw on with pen, finger or mouse. */
export function DrawingPad({ onDraw, onClose }: DrawingPadProps) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const [strokes, setStrokes] = useState<readonly Stroke[]>([])
  const [width, setWidth] = useState(0.045)
  const current = useRef<Stroke | undefined>(undefined)

  const repaint = (all: readonly Stroke[]) => {
    const context = canvas.current?.getContext('2d')
    if (!context) return
    const scale = devicePixelRatio || 1
    context.setTransform(scale, 0, 0, scale, 0, 0)
    paint(context, all, side)
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: repaint reads nothing but the canvas
  useEffect(() => repaint(strokes), [strokes])

  const keep = (next: readonly Stroke[]) => {
    setStrokes(next)
    onDraw(next.length ? pictureOfStrokes(next) : undefined)
  }
  const pointOf = ({ currentTarget, clientX, clientY }: PointerEvent<HTMLCanvasElement>) => {
    const box = currentTarget.getBoundingClientRect()
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height] as const
  }
  const down = (event: PointerEvent<HTMLCanvasElement>) => {
    if (event.button !== 0) return
    event.currentTarget.setPointerCapture(event.pointerId)
    current.current = { points: [pointOf(event)], width }
    repaint([...strokes, current.current])
  }
  const move = (event: PointerEvent<HTMLCanvasElement>) => {
    if (!current.current) return
    current.current = { ...current.current, points: [...current.current.points, pointOf(event)] }
    repaint([...strokes, current.current])
  }
  const up = () => {
    const stroke = current.current
    current.current = undefined
    if (stroke) keep([...strokes, stroke])
  }

  const pixels = side * (globalThis.devicePixelRatio || 1)
  return (
    <section className="pad" aria-label="Drawing pad">
      <header className="panel-head">
        <h2>Draw it</h2>
        <button type="button" className="icon-button" onClick={onClose} aria-label="Close drawing pad">
          <X size={18} />
        </button>
      </header>
      <div className="paper">
        <canvas
          ref={canvas}
          width={pixels}
          height={pixels}
          onPointerDown={down}
          onPointerMove={move}
          onPointerUp={up}
          onPointerCancel={up}
          aria-label="Draw here with pen, finger or mouse"
          role="img"
        />
        {strokes.length === 0 && <p aria-hidden="true">a rough sketch is enough</p>}
      </div>
      <div className="pad-tools">
        <label>
          <span className="visually-hidden">Stroke width</span>
          <i className="dot small" aria-hidden="true" />
          <input
            type="range"
            min="0.015"
            max="0.1"
            step="0.005"
            value={width}
            onChange={event => setWidth(Number(event.target.value))}
          />
          <i className="dot large" aria-hidden="true" />
        </label>
        <button
          type="button"
          className="icon-button"
          disabled={strokes.length === 0}
          onClick={() => keep(strokes.slice(0, -1))}
          aria-label="Undo stroke"
          title="Undo stroke"
        >
          <Undo2 size={18} />
        </button>
        <button
          type="button"
          className="icon-button"
          disabled={strokes.length === 0}
          onClick={() => keep([])}
          aria-label="Clear drawing"
          title="Clear drawing"
        >
          <Eraser size={18} />
        </button>
      </div>
    </section>
  )
}
