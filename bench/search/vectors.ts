import { readManifest } from '../../src/search/index.ts'
import { Store } from '../../src/search/store.ts'

/** Vectors to search and queries that are not among them. */
export interface VectorSet {
  readonly title: string
  readonly dim: number
  readonly rows: number
  /** [rows, dim], unit length. */
  readonly vectors: Float32Array
  readonly queries: readonly Float32Array[]
}

/** Normal deviates from a seed (Box and Muller over a linear congruential generator). */
function normals(seed: number): () => number {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector)
  return vector.map(value => value / length)
}

/**
 * Clusters whose spread falls with the coordinate's number, as it does in vectors trained for their prefixes: a coordinate's
 * deviation is 1 / sqrt(1 + i / 8), of a point within its cluster half of that.
 */
export function clusteredVectors(rows: number, dim: number, queryCount: number): VectorSet {
  const normal = normals(1)
  const spread = Float32Array.from({ length: dim }, (_, i) => 1 / Math.sqrt(1 + i / 8))
  const scattered = () => spread.map(deviation => deviation * normal())
  const clusters = Math.round(Math.sqrt(rows) * 4)
  const centres = Array.from({ length: clusters }, scattered)
  const point = (at: number) => {
    const offset = scattered()
    return unit(centres[at % clusters].map((value, i) => value + 0.5 * offset[i]))
  }
  const vectors = new Float32Array(rows * dim)
  for (let row = 0; row < rows; row++) vectors.set(point(row), row * dim)
  const queries = Array.from({ length: queryCount }, (_, at) => point(at * 7))
  return { title: `${rows} clustered vectors of ${dim}`, dim, rows, vectors, queries }
}

/** Image vectors of a collection; every so many-th is taken out as a query. */
export async function collectionVectors(folder: string, queryCount: number): Promise<VectorSet> {
  const manifest = await readManifest(folder)
  if (!manifest) throw new Error(`there is no collection at ${folder}; make one with \`tenet index\`.`)
  const { dim } = manifest.encoder
  const store = await Store.open(folder, dim)
  const all: Float32Array[] = []
  for await (const items of store.loadItems()) {
    for (const { imageVector } of items) if (imageVector.some(value => value !== 0)) all.push(imageVector)
  }
  store.close()
  const step = Math.max(2, Math.floor(all.length / queryCount))
  const queries = all.filter((_, at) => at % step === 0).slice(0, queryCount)
  const taken = new Set(queries)
  const kept = all.filter(vector => !taken.has(vector))
  const vectors = new Float32Array(kept.length * dim)
  for (const [row, vector] of kept.entries()) vectors.set(vector, row * dim)
  return { title: `${kept.length} pictures of ${folder}`, dim, rows: kept.length, vectors, queries }
}
