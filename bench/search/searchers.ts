import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, Index } from '@lancedb/lancedb'
import { funnelSearch, NestedVectors } from '../../src/search/index.ts'
import { selectLargest } from '../../src/search/select-largest.ts'
import type { VectorSet } from './vectors.ts'

/** Something that finds nearest vectors, with one setting that trades time for recall. */
export interface Searcher {
  readonly name: string
  /** What the setting is called. */
  readonly setting: string
  /** From the fastest to the most exact; one for exact search. */
  readonly settings: readonly number[]
  search(query: Float32Array, k: number, setting: number): number[] | Promise<number[]>
  close?(): Promise<void> | void
}

/** The peers have a package of their own, and their types are not installed with Tenet. */
const requirePeer = createRequire(new URL('../package.json', import.meta.url))

function nested(set: VectorSet, width: number): NestedVectors {
  const vectors = new NestedVectors(set.dim, width)
  vectors.reserve(set.rows)
  for (let row = 0; row < set.rows; row++) vectors.set(row, set.vectors.subarray(row * set.dim, (row + 1) * set.dim))
  return vectors
}

export function flat(set: VectorSet): Searcher {
  const vectors = nested(set, set.dim)
  const search = (query: Float32Array, k: number) => {
    const scores = new Float32Array(set.rows)
    vectors.addWholeScores(query, scores)
    return [...selectLargest(scores, set.rows, k)].sort((a, b) => scores[b] - scores[a]).slice(0, k)
  }
  return { name: `flat ${set.dim}`, setting: '', settings: [0], search }
}

export function funnel(set: VectorSet, width: number): Searcher {
  const vectors = nested(set, width)
  return {
    name: `funnel ${width} -> ${set.dim}`,
    setting: 'shortlist',
    settings: [20, 50, 100, 200, 400, 800, 1600, 3200, 6400],
    search: (vector, k, shortlist) =>
      funnelSearch([{ vectors, queries: [{ vector, weight: 1 }] }], { shortlist })
        .slice(0, k)
        .map(({ row }) => row),
  }
}

interface Hnswlib {
  HierarchicalNSW: new (
    metric: string,
    dim: number,
  ) => {
    initIndex(rows: number, m: number, efConstruction: number): void
    addPoint(point: number[], label: number): void
    setEf(ef: number): void
    searchKnn(query: number[], k: number): { neighbors: number[] }
  }
}

const breadths = [10, 20, 40, 80, 160, 320, 640]

export function hnswlib(set: VectorSet): Searcher {
  const { HierarchicalNSW } = requirePeer('hnswlib-node') as Hnswlib
  const index = new HierarchicalNSW('ip', set.dim)
  index.initIndex(set.rows, 16, 100)
  for (let row = 0; row < set.rows; row++) {
    index.addPoint([...set.vectors.subarray(row * set.dim, (row + 1) * set.dim)], row)
  }
  const search = (query: Float32Array, k: number, ef: number) => {
    index.setEf(ef)
    return index.searchKnn([...query], k).neighbors
  }
  return { name: 'hnswlib-node', setting: 'ef', settings: breadths, search }
}

interface Usearch {
  Index: new (options: {
    metric: string
    dimensions: number
    connectivity: number
    expansion_add: number
    expansion_search: number
  }) => {
    add(keys: BigUint64Array, vectors: Float32Array, threads: number): void
    search(query: Float32Array, k: number, threads: number): { keys: BigUint64Array }
    save(path: string): void
    load(path: string): void
  }
}

/** Its breadth of search is fixed when an index is made, so the built index is loaded once for each. */
export async function usearch(set: VectorSet): Promise<Searcher> {
  const { Index: UsearchIndex } = requirePeer('usearch') as Usearch
  const make = (expansion: number) =>
    new UsearchIndex({
      metric: 'ip',
      dimensions: set.dim,
      connectivity: 16,
      expansion_add: 100,
      expansion_search: expansion,
    })
  const built = make(breadths[0])
  built.add(
    BigUint64Array.from({ length: set.rows }, (_, row) => BigInt(row)),
    set.vectors,
    2,
  )
  const folder = await mkdtemp(join(tmpdir(), 'tenet-bench-'))
  const path = join(folder, 'index')
  built.save(path)
  const loaded = new Map(
    breadths.map(expansion => {
      const index = make(expansion)
      index.load(path)
      return [expansion, index]
    }),
  )
  await rm(folder, { recursive: true })
  const search = (query: Float32Array, k: number, expansion: number) =>
    [...loaded.get(expansion)!.search(query, k, 1).keys].map(Number)
  return { name: 'usearch', setting: 'expansion', settings: breadths, search }
}

/** LanceDB's own index: inverted lists with product quantisation, results refined by the whole vectors. */
export async function lance(set: VectorSet): Promise<Searcher> {
  const folder = await mkdtemp(join(tmpdir(), 'tenet-bench-'))
  const connection = await connect(folder)
  const record = (row: number) => ({ row, vector: [...set.vectors.subarray(row * set.dim, (row + 1) * set.dim)] })
  const records = Array.from({ length: set.rows }, (_, row) => record(row))
  const table = await connection.createTable('vectors', records)
  const partitions = Math.round(Math.sqrt(set.rows))
  await table.createIndex('vector', {
    config: Index.ivfPq({ distanceType: 'dot', numPartitions: partitions, numSubVectors: set.dim / 8 }),
  })
  return {
    name: 'LanceDB IVF-PQ',
    setting: 'nprobes',
    settings: [5, 10, 20, 40, 80, 160],
    search: async (query, k, nprobes) => {
      const found = await table
        .query()
        .nearestTo(query)
        .distanceType('dot')
        .nprobes(nprobes)
        .refineFactor(10)
        .select(['row', '_distance'])
        .limit(k)
        .toArray()
      return found.map(({ row }) => Number(row))
    },
    close: async () => {
      table.close()
      await rm(folder, { recursive: true })
    },
  }
}
