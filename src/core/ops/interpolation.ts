/** How a resized axis reads the old one: plain data, so that equal resizes are found to be equal. */
export interface AxisRule {
  readonly mode: ResizeMode
  readonly from: number
  readonly to: number
  /** Step along the old axis for one step along the new one, when given by a scale factor; otherwise from the sizes. */
  readonly ratio?: number
  readonly alignCorners: boolean
  readonly antialias: boolean
}

/**
 * `nearest` copies old element floor(i ratio), `nearest-exact` the one nearest to the new element's centre; `linear`
 * blends two neighbours (bilinear over two axes, trilinear over three), `cubic` four (bicubic, a = -0.75);
 * `area` averages the old elements that a new one overlaps (adaptive average pooling).
 */
export type ResizeMode = 'nearest' | 'nearest-exact' | 'linear' | 'cubic' | 'area'

/** One row of an interpolation matrix: `weights` of consecutive old elements from `start` on. */
export interface Band {
  readonly start: number
  readonly weights: readonly number[]
}

/** The interpolation matrix of an axis, row by row; a row is as long as the elements it reads. */
export function interpolationBands(rule: AxisRule): Band[] {
  const row = rule.antialias ? antialiasedBand : bandOf[rule.mode]
  return Array.from({ length: rule.to }, (_, i) => row(i, rule))
}

/** The old element that each new one copies, under a nearest rule. */
export const nearestSources = (rule: AxisRule): number[] => interpolationBands(rule).map(({ start }) => start)

const stepOf = ({ from, to, ratio, alignCorners }: AxisRule): number =>
  alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : (ratio ?? from / to)

/** Where new element i lies on the old axis, in elements, their centres being whole numbers. */
const sourceOf = (i: number, rule: AxisRule): number =>
  rule.alignCorners ? i * stepOf(rule) : (i + 0.5) * stepOf(rule) - 0.5

/** Steps are taken in float32, as PyTorch takes them: what is floored must be rounded the same way. */
function nearestBand(i: number, rule: AxisRule, offset: number): Band {
  const place = Math.floor(Math.fround((i + offset) * Math.fround(stepOf(rule))))
  return { start: Math.min(place, rule.from - 1), weights: [1] }
}

function linearBand(i: number, rule: AxisRule): Band {
  // Equal sizes are a copy even where a scale just above 1 would shift the positions.
  const source = rule.from === rule.to ? i : Math.max(0, sourceOf(i, rule))
  const low = Math.min(Math.floor(source), rule.from - 1)
  const rest = low === rule.from - 1 ? 0 : source - low
  return rest === 0 ? { start: low, weights: [1] } : { start: low, weights: [1 - rest, rest] }
}

/** Keys' convolution kernel at distance x (Keys 1981). */
function cubicKernel(x: number, a: number): number {
  const t = Math.abs(x)
  if (t >= 2) return 0
  return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
}

function cubicBand(i: number, rule: AxisRule): Band {
  const source = sourceOf(i, rule)
  const low = Math.floor(source)
  const places = [-1, 0, 1, 2].map(k => low + k)
  // What lies beyond the border reads the border's element.
  const inside = places.map(place => Math.min(Math.max(place, 0), rule.from - 1))
  const weights = new Array<number>(inside[3] - inside[0] + 1).fill(0)
  places.forEach((place, k) => {
    weights[inside[k] - inside[0]] += cubicKernel(source - place, -0.75)
  })
  return { start: inside[0], weights }
}

function areaBand(i: number, { from, to }: AxisRule): Band {
  const start = Math.floor((i * from) / to)
  const end = Math.ceil(((i + 1) * from) / to)
  return { start, weights: new Array<number>(end - start).fill(1 / (end - start)) }
}

/** When shrinking, the kernel is stretched so that every old element counts (Pillow's filters; a = -0.5 for cubic). */
function antialiasedBand(i: number, rule: AxisRule): Band {
  const step = stepOf(rule)
  const stretch = Math.max(step, 1)
  const reach = (rule.mode === 'cubic' ? 2 : 1) * stretch
  const centre = (i + 0.5) * step
  const start = Math.max(Math.trunc(centre - reach + 0.5), 0)
  const end = Math.min(Math.trunc(centre + reach + 0.5), rule.from)
  const raw = Array.from({ length: Math.max(end - start, 1) }, (_, k) => {
    const distance = (start + k + 0.5 - centre) / stretch
    return rule.mode === 'cubic' ? cubicKernel(distance, -0.5) : Math.max(0, 1 - Math.abs(distance))
  })
  const total = raw.reduce((sum, weight) => sum + weight, 0)
  return { start: Math.min(start, rule.from - 1), weights: raw.map(weight => weight / total) }
}

const bandOf: Record<ResizeMode, (i: number, rule: AxisRule) => Band> = {
  nearest: (i, rule) => nearestBand(i, rule, 0),
  'nearest-exact': (i, rule) => nearestBand(i, rule, 0.5),
  linear: linearBand,
  cubic: cubicBand,
  area: areaBand,
}

/** True where every new element is the old one in its place. */
export const isIdentity = (rule: AxisRule): boolean =>
  rule.from === rule.to &&
  interpolationBands(rule).every(({ start, weights }, i) =>
    weights.every((weight, k) => weight === (start + k === i ? 1 : 0)),
  )

/** A block of an interpolation matrix: rows `row` on, columns `column` on, dense. */
export interface MatrixBlock {
  readonly row: number
  readonly rows: number
  readonly column: number
  readonly columns: number
  readonly at: (row: number, column: number) => number
}

/**
 * Cuts an interpolation matrix (its transpose for `adjoint`) into groups of `height` rows, each holding only the columns
 * that those rows read.
 */
export function matrixBlocks(rule: AxisRule, adjoint: boolean, height: number): MatrixBlock[] {
  const bands = adjoint ? transposeBands(interpolationBands(rule), rule.from) : interpolationBands(rule)
  const blocks: MatrixBlock[] = []
  for (let row = 0; row < bands.length; row += height) {
    const group = bands.slice(row, row + height)
    const reading = group.filter(({ weights }) => weights.length > 0)
    const column = Math.min(...reading.map(({ start }) => start))
    const end = Math.max(...reading.map(({ start, weights }) => start + weights.length))
    blocks.push({
      row,
      rows: group.length,
      // Rows that read nothing at all still make a block, of one column of zeros.
      column: reading.length ? column : 0,
      columns: reading.length ? end - column : 1,
      at: (r, c) => group[r].weights[c + (reading.length ? column : 0) - group[r].start] ?? 0,
    })
  }
  return blocks
}

function transposeBands(bands: readonly Band[], columns: number): Band[] {
  const rows = Array.from({ length: columns }, () => ({ start: -1, weights: [] as number[] }))
  bands.forEach(({ start, weights }, i) => {
    weights.forEach((weight, k) => {
      const row = rows[start + k]
      if (row.start < 0) row.start = i
      while (row.weights.length < i - row.start) row.weights.push(0)
      row.weights.push(weight)
    })
  })
  return rows.map(({ start, weights }) => ({ start: Math.max(start, 0), weights }))
}
