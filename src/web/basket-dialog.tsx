import { Download, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { CopyButton } from './copy-button.tsx'
import { exportBasket } from './export-basket.ts'
import { saveFile, textOf } from './icon-code.ts'
import { Picture } from './picture.tsx'
import type { Basket } from './use-basket.ts'

/** The chosen items, to be exported together. */
export function BasketDialog({ basket, onClose }: { readonly basket: Basket; readonly onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [svg, setSvg] = useState(true)
  const [png, setPng] = useState(false)
  const [size, setSize] = useState(256)
  const [state, setState] = useState<string>()
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal()
  }, [])

  const save = async () => {
    setState('Packing …')
    try {
      saveFile(await exportBasket(basket.items, { svg, png, size }), 'icons.zip')
      setState('Saved as icons.zip')
    } catch (error) {
      setState((error as Error).message)
    }
  }
  const { items } = basket
  return (
    <dialog ref={dialog} className="basket" aria-labelledby="basket-title" onClose={onClose}>
      <header className="panel-head">
        <h2 id="basket-title">Basket{items.length > 0 && <span className="quiet"> · {items.length}</span>}</h2>
        <button type="button" className="icon-button" onClick={() => dialog.current?.close()} aria-label="Close basket">
          <X size={18} />
        </button>
      </header>
      {items.length === 0 ? (
        <p className="quiet">Nothing chosen yet. Open a result and add it, or Ctrl-click it in the grid.</p>
      ) : (
        <>
          <ul className="chosen">
            {items.map(item => (
              <li key={item.id}>
                <Picture id={item.id} metadata={item.metadata} size={26} />
                <span className="option-name">{item.name}</span>
                <span className="quiet">{textOf(item.metadata.set)}</span>
                <button
                  type="button"
                  className="icon-button"
                  onClick={() => basket.toggle(item)}
                  aria-label={`Remove ${item.id}`}
                >
                  <X size={15} />
                </button>
              </li>
            ))}
          </ul>
          <fieldset className="formats">
            <legend className="visually-hidden">Formats</legend>
            <label>
              <input type="checkbox" checked={svg} onChange={event => setSvg(event.target.checked)} /> SVG
            </label>
            <label>
              <input type="checkbox" checked={png} onChange={event => setPng(event.target.checked)} /> PNG
            </label>
            <label>
              of{' '}
              <select value={size} disabled={!png} onChange={event => setSize(Number(event.target.value))}>
                {[32, 64, 128, 256, 512, 1024].map(side => (
                  <option key={side} value={side}>
                    {side} px
                  </option>
                ))}
              </select>
            </label>
          </fieldset>
          <div className="row">
            <button type="button" className="primary" disabled={!svg && !png} onClick={save}>
              <Download size={17} aria-hidden="true" /> Export zip
            </button>
            <CopyButton label="names" content={() => items.map(({ id }) => id).join('\n')} />
            <button type="button" className="link" onClick={basket.clear}>
              Empty it
            </button>
          </div>
          <p role="status" className="quiet">
            {state}
          </p>
        </>
      )}
    </dialog>
  )
}
