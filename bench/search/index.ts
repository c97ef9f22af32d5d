import { existsSync } from 'node:fs'
import { describeMachine } from '../report.ts'
import { median } from '../statistics.ts'
import { flat, funnel, hnswlib, lance, type Searcher, usearch } from './searchers.ts'
import { clusteredVectors, collectionVectors, type VectorSet } from './vectors.ts'

/** Results that are compared with those of the exact search. */
const k = 10

export interface SearchResultRow {
  readonly name: string
  readonly setting: string
  readonly buildSeconds: number
  readonly recall: number
  /** Median of one query after another, one thread. */
  readonly ms: number
  /** Time of flat search over this. */
  readonly speedup?: number
  readonly error?: string
}

export interface SearchReport {
  readonly suite: 'search'
  readonly machine: ReturnType<typeof describeMachine>
  readonly targetRecall: number
  readonly data: { readonly title: string; readonly results: readonly SearchResultRow[] }[]
}

async function answers(searcher: Searcher, queries: readonly Float32Array[], setting: number) {
  const times: number[] = []
  const found: number[][] = []
  for (const query of queries) {
    const started = performance.now()
    found.push(await searcher.search(query, k, setting))
    times.push(performance.now() - started)
  }
  return { found, ms: median(times) }
}

function recallOf(found: readonly number[][], exact: readonly number[][]): number {
  const hits = found.reduce((sum, rows, at) => sum + rows.filter(row => exact[at].includes(row)).length, 0)
  return hits / exact.reduce((sum, rows) => sum + rows.length, 0)
}

/** The fastest setting that reaches the recall asked for, or else the most exact one. */
async function measure(searcher: Searcher, { queries }: VectorSet, exact: readonly number[][], target: number) {
  for (const [at, setting] of searcher.settings.entries()) {
    // The first queries warm the compiler and the caches, and do not count.
    await answers(searcher, queries.slice(0, 20), setting)
    const { found, ms } = await answers(searcher, queries, setting)
    const recall = recallOf(found, exact)
    if (recall >= target || at === searcher.settings.length - 1)
      return { setting: searcher.setting && `${searcher.setting} ${setting}`, recall, ms }
  }
  throw new Error(`${searcher.name} has no settings`)
}

async function raceSet(set: VectorSet, target: number, peers: boolean): Promise<SearchResultRow[]> {
  const exactSearch = flat(set)
  const { found: exact } = await answers(exactSearch, set.queries, 0)
  const makers: [string, () => Searcher | Promise<Searcher>][] = [
    ['flat', () => exactSearch],
    ['funnel 16', () => funnel(set, 16)],
    ['funnel 32', () => funnel(set, 32)],
  ]
  if (peers)
    makers.push(['hnswlib-node', () => hnswlib(set)], ['usearch', () => usearch(set)], ['LanceDB', () => lance(set)])
  const rows: SearchResultRow[] = []
  for (const [label, make] of makers) {
    process.stderr.write(`${set.title}: ${label}\n`)
    const started = performance.now()
    try {
      const searcher = await make()
      const buildSeconds = (performance.now() - started) / 1000
      const result = await measure(searcher, set, exact, target)
      rows.push({ name: searcher.name, buildSeconds, ...result, speedup: (rows[0]?.ms ?? result.ms) / result.ms })
      await searcher.close?.()
    } catch (error) {
      const message = (error as Error).message.split('\n')[0]
      rows.push({ name: label, setting: '', buildSeconds: 0, recall: 0, ms: 0, error: message })
    }
  }
  return rows
}

export interface SearchBenchOptions {
  readonly rows: number
  readonly recall: number
  readonly collection?: string
  readonly peers: boolean
}

/** Races flat and funnel search with the peers' indexes at equal recall@10, query by query. */
export async function searchBench({ rows, recall, collection, peers }: SearchBenchOptions): Promise<SearchReport> {
  const sets = [clusteredVectors(rows, 128, 300)]
  if (collection && existsSync(collection)) sets.push(await collectionVectors(collection, 300))
  const data: { title: string; results: SearchResultRow[] }[] = []
  for (const set of sets) data.push({ title: set.title, results: await raceSet(set, recall, peers) })
  return { suite: 'search', machine: describeMachine(), targetRecall: recall, data }
}

export function formatSearchReport({ data, targetRecall }: SearchReport): string {
  const lines = [`fastest setting with recall@${k} >= ${targetRecall}; one query at a time`]
  for (const { title, results } of data) {
    lines.push(
      '',
      title,
      `${'index'.padEnd(20)}${'setting'.padEnd(16)}${'recall'.padStart(8)}${'ms'.padStart(9)}${'x flat'.padStart(8)}${'build s'.padStart(9)}`,
    )
    for (const { name, setting, recall, ms, speedup = 0, buildSeconds, error } of results) {
      const cells = `${setting.padEnd(16)}${recall.toFixed(3).padStart(8)}${ms.toFixed(2).padStart(9)}${speedup.toFixed(1).padStart(8)}${buildSeconds.toFixed(1).padStart(9)}`
      lines.push(`${name.padEnd(20)}${error === undefined ? cells : `did not run: ${error}`}`)
    }
  }
  return lines.join('\n')
}
