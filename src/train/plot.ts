import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { writeAtomic } from './atomic.ts'
import type { LogEntry } from './log.ts'

/** Draws a plot (Observable Plot) as a standalone SVG document. */
export function renderPlot(options: Plot.PlotOptions): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const figure = Plot.plot({ ...options, document: document as unknown as Document })
  const svg = figure.tagName.toLowerCase() === 'svg' ? figure : figure.querySelector('svg')
  if (!svg) throw new Error('plot: nothing was drawn')
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  svg.setAttribute('style', 'background: white; color: #222; font-family: system-ui, sans-serif')
  return svg.toString()
}

/** Writes an SVG beside a PNG of twice its size: `<path>.svg`, `<path>.png`. */
export async function writePicture(path: string, svg: string): Promise<void> {
  await writeAtomic(`${path}.svg`, svg)
  const { default: sharp } = await import('sharp')
  await writeAtomic(`${path}.png`, await sharp(Buffer.from(svg), { density: 144 }).png().toBuffer())
}

interface CurvePoint {
  readonly batch: number
  readonly value: number
  readonly series: string
}

/** Mean of each run of `width` neighbouring entries, so that a long curve stays readable and small. */
function smoothed(points: readonly CurvePoint[], most = 400): CurvePoint[] {
  const width = Math.max(1, Math.ceil(points.length / most))
  const out: CurvePoint[] = []
  for (let i = 0; i < points.length; i += width) {
    const part = points.slice(i, i + width)
    out.push({ ...part[part.length - 1], value: part.reduce((sum, p) => sum + p.value, 0) / part.length })
  }
  return out
}

/** The values of one score over a run: one line while training, one in validation. */
export function learningCurve(entries: readonly LogEntry[], score: string): string {
  const pick = (kind: LogEntry['kind'], series: string): CurvePoint[] =>
    entries
      .filter(entry => entry.kind === kind && typeof entry[score] === 'number')
      .map(entry => ({ batch: entry.batch, value: entry[score] as number, series }))
  const points = [...smoothed(pick('step', 'training')), ...pick('validation', 'validation')]
  return renderPlot({
    width: 640,
    height: 320,
    marginLeft: 50,
    x: { label: 'batches' },
    y: { label: score, grid: true },
    color: { legend: false, domain: ['training', 'validation'], range: ['#4269d0', '#ff725c'] },
    marks: [
      Plot.line(points, { x: 'batch', y: 'value', stroke: 'series' }),
      Plot.dot(
        points.filter(p => p.series === 'validation'),
        { x: 'batch', y: 'value', fill: 'series', r: 3 },
      ),
      Plot.text(lastOfEach(points), {
        x: 'batch',
        y: 'value',
        text: 'series',
        fill: 'series',
        dy: -10,
        textAnchor: 'end',
      }),
    ],
  })
}

function lastOfEach(points: readonly CurvePoint[]): CurvePoint[] {
  return [...new Map(points.map(p => [p.series, p])).values()]
}
