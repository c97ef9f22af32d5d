import { ImageUp, Languages, Pencil } from 'lucide-react'
import type { ReactNode } from 'react'

interface LandingProps {
  readonly count: number
  readonly onText: (text: string) => void
  readonly onDraw: () => void
  readonly onPick: () => void
}

/** Each says something that a search by file names would miss. */
const examples = [
  'settings',
  'something sweet',
  'go back',
  'Herz',
  'noite',
  'save money',
  'loud',
  'погода',
  'fast food',
]

/** What the page can do, before anything is looked for. */
export function Landing({ count, onText, onDraw, onPick }: LandingProps) {
  return (
    <div className="landing">
      <h1>Find it in your own words, by a sketch, or by a picture.</h1>
      <p className="lead">
        {count > 0
          ? `${count.toLocaleString('en')} items, searched by what they mean, not by what their files are called.`
          : 'Searched by what things mean, not by what their files are called.'}
      </p>
      <ul className="examples" aria-label="Examples">
        {examples.map(text => (
          <li key={text}>
            <button type="button" className="chip" onClick={() => onText(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
      <div className="ways">
        <Way icon={<Languages size={22} />} title="Say it" onClick={() => onText('celebration')}>
          Synonyms, typos and other languages are fine.
        </Way>
        <Way icon={<Pencil size={22} />} title="Draw it" onClick={onDraw}>
          A few rough strokes; results follow your pen.
        </Way>
        <Way icon={<ImageUp size={22} />} title="Show it" onClick={onPick}>
          Drop, paste or pick a picture, and see its words too.
        </Way>
      </div>
      <p className="hint">
        <kbd>/</kbd> to search · arrow keys through results · <kbd>Ctrl</kbd>-click to collect
      </p>
    </div>
  )
}

interface WayProps {
  readonly icon: ReactNode
  readonly title: string
  readonly onClick: () => void
  readonly children: ReactNode
}

function Way({ icon, title, onClick, children }: WayProps) {
  return (
    <button type="button" className="way" onClick={onClick}>
      <span aria-hidden="true">{icon}</span>
      <strong>{title}</strong>
      <span>{children}</span>
    </button>
  )
}
