import { allocate, type DType } from '../dtype.ts'
import { onnxType } from '../onnx/types.ts'
import type { Lowering } from '../primitive.ts'

/** Blocks to add up: `updates` is [batch, before, picked, after], places are [batch, picked], the result [batch, before, size, after]. */
export interface BlockScatter {
  readonly batch: number
  readonly before: number
  readonly picked: number
  readonly after: number
  readonly size: number
  readonly dtype: DType
  /** True when no two places are known to be equal. */
  readonly distinct: boolean
}

/**
 * ONNX Runtime's ScatterND is some twenty times faster than its ScatterElements, but shares its rows out among threads
 * without asking whether two threads add into the same one: sums lose terms. It stays on one thread while a node adds
 * fewer elements than the thread pool thinks worth sharing (2.1e5 in its cost model), so larger sums are cut into nodes
 * below that.
 */
const SERIAL_ELEMENTS = 196608
/** Below this many elements a table is cheap to copy, which every ScatterND does. */
const CHEAP_COPY = 2 ** 20
/** Narrowest group of columns worth a table of its own: two cache lines. */
const GROUP_COLUMNS = 32

const exact = { allowzero: { int: 1 } } as const

const zeros = (to: Lowering, shape: readonly number[], dtype: DType): string =>
  to.emit('ConstantOfShape', [to.shape(shape)], { value: { tensor: { data: allocate(dtype, 1), shape: [1], dtype } } })

const sizesOf = (total: number, part: number): number[] =>
  Array.from({ length: Math.ceil(total / part) }, (_, i) => Math.min(part, total - i * part))

const split = (to: Lowering, value: string, sizes: readonly number[], axis: number): string[] =>
  sizes.length === 1 ? [value] : to.emitMany('Split', [value, to.ints(sizes)], sizes.length, { axis: { int: axis } })

/** Adds rows [rows, width] into zeros [size, width] at `places` [rows, 1], never two threads into one row. */
function addRows(
  to: Lowering,
  updates: string,
  places: string,
  {
    rows,
    width,
    size,
    dtype,
    distinct,
  }: { rows: number; width: number; size: number; dtype: DType; distinct: boolean },
): string {
  const reduction = { reduction: { string: 'add' } }
  if (distinct) return to.emit('ScatterND', [zeros(to, [size, width], dtype), places, updates])
  const parts = Math.ceil((rows * width) / SERIAL_ELEMENTS)
  // A large table is cut into groups of columns, each of which is copied once; a small one is passed along a chain.
  const groups = size * width > CHEAP_COPY ? Math.max(1, Math.min(parts, Math.floor(width / GROUP_COLUMNS))) : 1
  const columns = sizesOf(width, Math.ceil(width / groups))
  const steps = sizesOf(rows, Math.max(1, Math.floor(SERIAL_ELEMENTS / columns[0])))
  const stepPlaces = split(to, places, steps, 0)
  const tables = split(to, updates, columns, 1).map((group, i) =>
    split(to, group, steps, 0).reduce(
      (table, part, step) => to.emit('ScatterND', [table, stepPlaces[step], part], reduction),
      zeros(to, [size, columns[i]], dtype),
    ),
  )
  return tables.length === 1 ? tables[0] : to.emit('Concat', tables, { axis: { int: 1 } })
}

/** Places as int64, counted from the start of the axis. */
function fromStart(to: Lowering, places: string, size: number): string {
  const negative = to.emit('Less', [places, to.scalar(0, 'i64')])
  return to.emit('Where', [negative, to.emit('Add', [places, to.scalar(size, 'i64')]), places])
}

/** ScatterElements spells every element out: slow, but sizes may be symbolic. */
function addElements(
  to: Lowering,
  updates: string,
  places: string,
  { batch, before, picked, after, size, dtype }: BlockScatter,
): string {
  const shape = to.shape([batch, before, picked, after])
  const each = to.emit('Reshape', [places, to.shape([batch, 1, picked, 1])], exact)
  const table = zeros(to, [batch, before, size, after], dtype)
  return to.emit(
    'ScatterElements',
    [table, to.emit('Expand', [each, shape]), to.emit('Reshape', [updates, shape], exact)],
    {
      axis: { int: 2 },
      reduction: { string: 'add' },
    },
  )
}

/**
 * Writes the nodes that add blocks into zeros, repeated places adding up.
 * @param updates value name, elements in the order [batch, before, picked, after]
 * @param places value name, int64
 * @returns value name; elements in the order [batch, before, size, after], in whatever shape
 */
export function lowerBlockScatter(to: Lowering, updates: string, places: string, blocks: BlockScatter): string {
  const { batch, before, picked, after, size, dtype, distinct } = blocks
  if (Math.min(batch, before, picked, after, size) < 0) return addElements(to, updates, places, blocks)
  if (batch * before * picked * after === 0 || size === 0) return zeros(to, [batch * before, size, after], dtype)
  const lines = batch * before
  if (before > 1 && after < 8 && batch === 1) {
    // Many short rows under the same places: one long row each after exchanging the axes.
    const turned = to.emit('Transpose', [to.emit('Reshape', [updates, to.ints([before, picked, after])])], {
      perm: { ints: [1, 0, 2] },
    })
    const rows = to.emit('Reshape', [turned, to.ints([picked, before * after])])
    const column = to.emit('Reshape', [places, to.ints([picked, 1])])
    const table = addRows(to, rows, column, { rows: picked, width: before * after, size, dtype, distinct })
    return to.emit('Transpose', [to.emit('Reshape', [table, to.ints([size, before, after])])], {
      perm: { ints: [1, 0, 2] },
    })
  }
  const rows = to.emit('Reshape', [updates, to.ints([lines * picked, after])])
  let column = places
  if (lines > 1) {
    const starts = to.constant(
      BigInt64Array.from({ length: lines }, (_, line) => BigInt(line * size)),
      [batch, before, 1],
      'i64',
    )
    const local = to.emit('Reshape', [fromStart(to, places, size), to.ints([batch, 1, picked])])
    column = to.emit('Add', [local, starts])
  }
  column = to.emit('Reshape', [column, to.ints([lines * picked, 1])])
  return addRows(to, rows, column, { rows: lines * picked, width: after, size: lines * size, dtype, distinct })
}

/** `value` as int64. */
export const asInt64 = (to: Lowering, value: string, dtype: DType): string =>
  dtype === 'i64' ? value : to.emit('Cast', [value], { to: { int: onnxType('i64') } })
