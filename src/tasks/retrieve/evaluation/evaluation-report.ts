import { join } from 'node:path'
import * as Plot from '@observablehq/plot'
import sharp from 'sharp'
import { renderPlot, writeAtomic, writePicture } from '../../../train/index.ts'
import type { QuerySet, RetrievalQuery } from './ranker.ts'
import type { Measure, SetReport } from './score.ts'

/** Bars of one measure for every set and ranker, with their intervals, as an SVG document. */
export function measureChart(sets: readonly SetReport[], measure: Measure = 'R@10'): string {
  const bars = sets.flatMap(set =>
    set.rankers.map(({ ranker, measures }) => ({ set: set.id, ranker, ...measures[measure] })),
  )
  const rankers = [...new Set(bars.map(({ ranker }) => ranker))]
  const ids = sets.map(({ id }) => id)
  return renderPlot({
    width: 760,
    height: 60 + bars.length * 17,
    marginLeft: 90,
    marginRight: 130,
    x: { label: measure, domain: [0, 1], grid: true },
    y: { label: null, domain: rankers, axis: null },
    fy: { label: null, domain: ids, padding: 0.15 },
    color: { domain: rankers, scheme: 'observable10' },
    marks: [
      Plot.barX(bars, { x: 'estimate', y: 'ranker', fy: 'set', fill: 'ranker', insetTop: 1, insetBottom: 1 }),
      Plot.ruleY(bars, { x1: 'low', x2: 'high', y: 'ranker', fy: 'set', stroke: '#222' }),
      Plot.text(bars, {
        x: 'high',
        y: 'ranker',
        fy: 'set',
        text: d => `${d.estimate.toFixed(2)} ${d.ranker}`,
        textAnchor: 'start',
        dx: 4,
      }),
    ],
  })
}

/** What a page needs to show an item. */
export interface ShownItem {
  readonly name: string
  /** A whole SVG document, or nothing where there is only a name. */
  readonly svg?: string
}

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, character => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[character] as string)

/** As an image the drawing can run nothing, whatever it holds. */
const imageOf = (svg: string): string =>
  `<img alt="" src="data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}">`

function itemFigure(id: string, right: boolean, find: (id: string) => ShownItem | undefined): string {
  const item = find(id)
  const picture = item?.svg ? imageOf(item.svg) : ''
  return `<figure class="${right ? 'right' : 'wrong'}" title="${escaped(id)}">${picture}<figcaption>${escaped(item?.name ?? id)}</figcaption></figure>`
}

async function queryHeading(query: RetrievalQuery): Promise<string> {
  const note = [query.kind, query.language].filter(Boolean).join(', ')
  if (!query.image) return `<h3>${escaped(query.id)} <small>${escaped(note)}</small></h3>`
  const { pixels, size } = query.image
  const png = await sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
    .png()
    .toBuffer()
  return `<h3><img alt="query" src="data:image/png;base64,${png.toString('base64')}"> ${escaped(query.id)} <small>${escaped(note)}</small></h3>`
}

const pageStyle = `body{font:14px system-ui,sans-serif;margin:2rem;max-width:70rem}h3{margin:1.2rem 0 .3rem}h3 img{width:64px;vertical-align:middle;border:1px solid #ccc}
small{font-weight:normal;color:#666}.row{display:flex;flex-wrap:wrap;gap:6px}figure{margin:0;width:84px;padding:4px;border:2px solid;border-radius:6px;background:#fff}
figure img{width:40px;height:40px;display:block;margin:auto}figcaption{font-size:10px;text-align:center;overflow-wrap:anywhere}
.right{border-color:#2a8}.wrong{border-color:#d99}.wanted{opacity:.75}.wanted figure{border-style:dashed}`

async function failureSection(
  set: QuerySet,
  report: SetReport,
  most: number,
  find: (id: string) => ShownItem | undefined,
): Promise<string> {
  const { ranker, scores, rankings, measures } = report.rankers[0]
  const worst = set.queries
    .map((query, i) => ({ query, score: scores[i], ranked: rankings[i] }))
    .filter(({ score }) => score['P@10'] < 0.5)
    .sort((a, b) => a.score['R@10'] - b.score['R@10'] || a.score['P@10'] - b.score['P@10'])
  const parts = [
    `<h2>${escaped(set.title)}</h2>`,
    `<p>${escaped(ranker)}: R@10 ${measures['R@10'].estimate.toFixed(3)} of ${set.queries.length} queries. Shown: ${Math.min(most, worst.length)} of ${worst.length} queries of whose first ten less than half are right.</p>`,
  ]
  for (const { query, ranked } of worst.slice(0, most)) {
    const found = ranked.filter(id => !query.ignored?.has(id)).slice(0, 10)
    const wanted = [...query.relevant].slice(0, 5)
    parts.push(
      await queryHeading(query),
      `<div class="row">${found.map(id => itemFigure(id, query.relevant.has(id), find)).join('')}</div>`,
      `<div class="row wanted"><small>right, ${query.relevant.size} in all:</small>${wanted.map(id => itemFigure(id, true, find)).join('')}</div>`,
    )
  }
  return parts.join('\n')
}

/**
 * A page that shows, for every set, the queries that the first ranker answers worst: the query, its first ten, and some of
 * what would have been right. It needs no other file.
 *
 * @param find what is known of an item
 * @param most queries of each set; default 60
 */
export async function failurePage(
  sets: readonly QuerySet[],
  reports: readonly SetReport[],
  find: (id: string) => ShownItem | undefined,
  most = 60,
): Promise<string> {
  const sections: string[] = []
  for (const [i, set] of sets.entries()) {
    if (reports[i].rankers.length > 0) sections.push(await failureSection(set, reports[i], most, find))
  }
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Retrieval: what went wrong</title><style>${pageStyle}</style>
<h1>Retrieval: what went wrong</h1>
${measureChart(reports)}
${sections.join('\n')}
</html>
`
}

/** Numbers without the rankings that they come from. */
export function numbersOf(reports: readonly SetReport[]): unknown {
  return reports.map(({ rankers, ...set }) => ({
    ...set,
    rankers: rankers.map(({ ranker, measures, kinds, milliseconds }) => ({ ranker, measures, kinds, milliseconds })),
  }))
}

/** Writes `report.json`, `R@10.svg`, `R@10.png` and `failures.html` into a folder. */
export async function writeEvaluation(
  folder: string,
  sets: readonly QuerySet[],
  reports: readonly SetReport[],
  find: (id: string) => ShownItem | undefined,
): Promise<void> {
  await writeAtomic(join(folder, 'report.json'), `${JSON.stringify({ sets: numbersOf(reports) }, null, 2)}\n`)
  await writePicture(join(folder, 'R@10'), measureChart(reports))
  await writeAtomic(join(folder, 'failures.html'), await failurePage(sets, reports, find))
}
