import { pad, softmax, type Tensor } from '../../../core/index.ts'
import { allTrue, jointSoftmax, mask, type Projections, prefixSummary, regionSummary } from './regions.ts'

/** What a pattern is given beside its projections. */
export interface PatternOptions {
  /** Whether a position sees none after it. */
  readonly causal: boolean
  /** bool [batch, positions], true at padding. */
  readonly padding?: Tensor
  /** Applied to the weights inside regions. */
  readonly dropout?: (weights: Tensor) => Tensor
}

/** x read as rows: [batch, heads, rows * size, dim] -> [batch, heads, rows, size, dim]. */
const rowsOf = (x: Tensor, size: number): Tensor => x.rearrange('b h (r s) d -> b h r s d', { s: size })
const flat = (x: Tensor): Tensor => x.rearrange('b h r s d -> b h (r s) d')
/** Rows and columns exchanged: [batch, heads, rows, columns, dim] -> [batch, heads, columns, rows, dim]. */
const turned = (x: Tensor): Tensor => x.rearrange('b h r c d -> b h c r d')
const logitsOf = (query: Tensor, key: Tensor): Tensor => query.matmul(key, { transposeB: true })

const all = ({ query, key, value }: Projections, f: (t: Tensor) => Tensor): Projections => ({
  query: f(query),
  key: f(key),
  value: f(value),
})

/** Direct: the own segment. No regions: what is left of Combiner without its abstractions. */
export function localAttention(given: Projections, size: number, { causal, padding }: PatternOptions): Tensor {
  const { query, key, value } = all(given, t => rowsOf(t, size))
  const later = mask([size, size], ([i, j]) => causal && j > i)
  const blocked = padding ? later.or(padding.rearrange('b (r s) -> b 1 r 1 s', { s: size })) : later
  const [weights] = jointSoftmax([{ logits: logitsOf(query, key), blocked }])
  return flat(weights.matmul(value))
}

/**
 * Direct: the own segment, up to the own position where causal. Regions: each earlier segment (each other one).
 * Source: Ren et al. 2021, section 4.1 (Combiner-Fixed)
 */
export function fixedAttention(given: Projections, size: number, options: PatternOptions): Tensor {
  const { causal, padding, dropout } = options
  const { query, key, value } = all(given, t => rowsOf(t, size))
  const segments = query.shape[2]
  if (segments === 1) return localAttention(given, size, options)
  const padded = padding?.rearrange('b (r s) -> b 1 r s', { s: size })
  const region = regionSummary({ query, key, value }, { blocked: padded, dropout })
  const later = mask([1, size, size], ([, i, j]) => causal && j > i)
  const others = mask([segments, 1, segments], ([r, , t]) => (causal ? t >= r : t === r))
  const [direct, abstract] = jointSoftmax([
    { logits: logitsOf(query, key), blocked: padded ? later.or(padded.expandDims(-2)) : later },
    {
      logits: logitsOf(query, region.key.expandDims(2)),
      blocked: padded ? others.or(allTrue(padded).rearrange('b h r -> b h 1 1 r')) : others,
    },
  ])
  return flat(direct.matmul(value).add(abstract.matmul(region.value.expandDims(2))))
}

/**
 * Direct: the position itself. Regions: the earlier positions cut by the binary digits of i: for each digit l that is 1,
 * the block of 2^l positions that ends at floor(i / 2^l) 2^l. Causal; the number of positions is a power of two.
 * Source: Ren et al. 2021, section 4.2 (Combiner-Logsparse)
 */
export function logsparseAttention(
  { query, key, value }: Projections,
  { dropout }: Pick<PatternOptions, 'dropout'> = {},
): Tensor {
  const length = query.shape[2]
  const blocks = Array.from({ length: Math.log2(length) }, (_, level) => 2 ** level)
  /** Pairs of neighbouring blocks: [batch, heads, length, dim] -> [batch, heads, pairs, 2, block, dim]. */
  const pairs = (t: Tensor, block: number): Tensor => t.rearrange('b h (m p s) d -> b h m p s d', { p: 2, s: block })
  /** Puts what is known of the second block of each pair at its place; zeros for the first. */
  const second = (t: Tensor): Tensor =>
    pad(t.expandDims(3), [
      [0, 0],
      [0, 0],
      [0, 0],
      [1, 0],
      [0, 0],
      [0, 0],
    ]).rearrange('b h m p s d -> b h (m p s) d')
  const abstractions = blocks.map(block => {
    const [k, v] = [key, value].map(t => pairs(t, block).at(null, null, null, 0))
    if (block === 1) return { key: k, value: v }
    const region = regionSummary({ query: pairs(query, block).at(null, null, null, 0), key: k, value: v }, { dropout })
    return { key: region.key.expandDims(3), value: region.value.expandDims(3) }
  })
  const logits = abstractions.map(({ key: k }, level) =>
    second(logitsOf(pairs(query, blocks[level]).at(null, null, null, 1), k)),
  )
  const [own, ...shares] = jointSoftmax([
    { logits: query.mul(key).sum(-1, true), blocked: mask([length, 1], () => false) },
    ...logits.map((each, level) => ({
      logits: each,
      blocked: mask([length, 1], ([i]) => Math.floor(i / blocks[level]) % 2 === 0),
    })),
  ])
  return shares.reduce((sum, share, level) => {
    const late = pairs(share, blocks[level]).at(null, null, null, 1)
    return sum.add(second(late.mul(abstractions[level].value)))
  }, own.mul(value))
}

/** What the axial pattern needs beside its projections. */
export interface AxialOptions extends PatternOptions {
  /** Keys of a row's abstractions from the values that its positions attend to: [batch, heads, rows, columns, dim] -> the same. */
  readonly rowKey: (rowValue: Tensor) => Tensor
  /** Values that {@link rowKey} is asked for, where they are not those of the projections. */
  readonly keyValue?: Tensor
}

/**
 * Direct: the own row, up to the own column where causal. Regions: each earlier row (each other one), as the position of
 * the same column sees its whole row. Source: Ren et al. 2021, section 4.3 (Combiner-Axial, row-major)
 */
export function axialAttention(given: Projections, size: number, options: AxialOptions): Tensor {
  const { causal, padding, dropout = (weights: Tensor) => weights, rowKey, keyValue } = options
  const { query, key, value } = all(given, t => rowsOf(t, size))
  const rows = query.shape[2]
  const padded = padding?.rearrange('b (r s) -> b 1 r s', { s: size })
  const logits = logitsOf(query, key)
  const seen = dropout(padded ? jointSoftmax([{ logits, blocked: padded.expandDims(-2) }])[0] : softmax(logits, -1))
  const rowValue = seen.matmul(value)
  const keys = rowKey(keyValue ? seen.matmul(rowsOf(keyValue, size)) : rowValue)
  const later = mask([1, size, size], ([, i, j]) => causal && j > i)
  const others = mask([rows, 1, rows], ([r, , t]) => (causal ? t >= r : t === r))
  const [direct, abstract] = jointSoftmax([
    { logits, blocked: padded ? later.or(padded.expandDims(-2)) : later },
    {
      logits: turned(logitsOf(turned(query), turned(keys))),
      blocked: padded ? others.or(allTrue(padded).rearrange('b h r -> b h 1 1 r')) : others,
    },
  ])
  const merged = turned(turned(abstract).matmul(turned(rowValue)))
  return flat(dropout(direct).matmul(value).add(merged))
}

/**
 * Direct: the own row up to the own column, and the own column above. Regions: of each other column the rows above, and
 * of each row above its parts left and right of the own column, so that a token elsewhere is covered twice. Causal.
 * Source: Ren et al. 2021, section 4.3; google-research/combiner, layer.py (axial mixture)
 */
export function mixtureAttention(given: Projections, size: number): Tensor {
  const grid = all(given, t => rowsOf(t, size))
  const columns = all(grid, turned)
  const { query, key, value } = grid
  const rows = query.shape[2]
  const above = prefixSummary(columns)
  const [left, right] = [prefixSummary(grid), prefixSummary(grid, true)]
  /** Logits along the columns, read row by row. */
  const upright = (keys: Tensor): Tensor => turned(logitsOf(columns.query, keys))
  const rule = (entries: number, blocked: (r: number, c: number, other: number) => boolean): Tensor =>
    mask([rows, size, entries], ([r, c, other]) => blocked(r, c, other))
  const [column, row, columnsAbove, leftParts, rightParts] = jointSoftmax([
    { logits: upright(columns.key), blocked: rule(rows, (r, _, t) => t >= r) },
    { logits: logitsOf(query, key), blocked: rule(size, (_, c, s) => s > c) },
    { logits: logitsOf(query, turned(above.key)), blocked: rule(size, (r, c, s) => r === 0 || s === c) },
    { logits: upright(turned(left.key)), blocked: rule(rows, (r, c, t) => t >= r || c === 0) },
    { logits: upright(turned(right.key)), blocked: rule(rows, (r, c, t) => t >= r || c === size - 1) },
  ])
  const merge = (weights: Tensor, values: Tensor): Tensor => turned(turned(weights).matmul(values))
  return flat(
    row
      .matmul(value)
      .add(columnsAbove.matmul(turned(above.value)))
      .add(merge(column, columns.value))
      .add(merge(leftParts, turned(left.value)))
      .add(merge(rightParts, turned(right.value))),
  )
}
