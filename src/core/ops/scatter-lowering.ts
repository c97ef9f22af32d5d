import { type DType, fromNumbers } from '../dtype.ts'
import { onnxType } from '../onnx/types.ts'
import type { Lowering } from '../primitive.ts'

/** How blocks that meet in one place are combined, and what the place holds without any. */
const initialOf = { add: 0, max: Number.NEGATIVE_INFINITY } as const

/** Blocks to combine: `updates` is [batch, before, picked, after], places are [batch, picked], the result [batch, before, size, after]. */
export interface BlockScatter {
  readonly batch: number
  readonly before: number
  readonly picked: number
  readonly after: number
  readonly size: number
  readonly dtype: DType
  /** True when all places are known to differ. */
  readonly distinct: boolean
  /** Default `add`; `max` is for floats and needs opset 18. */
  readonly reduction?: keyof typeof initialOf
}

/**
 * ONNX Runtime's ScatterND is some twenty times faster than its ScatterElements, but shares its rows out among threads
 * without asking whether two threads add into the same one: sums lose terms. It stays on one thread while a node adds
 * fewer elements than the thread pool thinks worth sharing (2.1e5 in its cost model), so larger sums are cut into nodes
 * below that.
 */
const SERIAL_ELEMENTS = 196608
/**
 * Every ScatterND copies its table, so a chain of them copies it again and again. Below CACHED elements that costs next to
 * nothing; above, the columns are cut into groups with tables of their own, until a chain copies about COPIED elements.
 */
const CACHED = 2 ** 20
const COPIED = 2 ** 23
/** Narrowest group of columns: one cache line. */
const GROUP_COLUMNS = 16

const exact = { allowzero: { int: 1 } } as const

/** A table of what places hold before anything is combined into them. */
function emptyTable(to: Lowering, shape: readonly number[], dtype: DType, reduction: keyof typeof initialOf): string {
  const data = fromNumbers(dtype, [initialOf[reduction]])
  return to.emit('ConstantOfShape', [to.shape(shape)], { value: { tensor: { data, shape: [1], dtype } } })
}

const sizesOf = (total: number, part: number): number[] =>
  Array.from({ length: Math.ceil(total / part) }, (_, i) => Math.min(part, total - i * part))

const split = (to: Lowering, value: string, sizes: readonly number[], axis: number): string[] =>
  sizes.length === 1 ? [value] : to.emitMany('Split', [value, to.ints(sizes)], sizes.length, { axis: { int: axis } })

/** Combines rows [rows, width] into a table [size, width] at `places` [rows, 1], never two threads into one row. */
function combineRows(
  to: Lowering,
  updates: string,
  places: string,
  [rows, width]: readonly [number, number],
  size: number,
  { dtype, distinct, reduction = 'add' }: BlockScatter,
): string {
  if (distinct) return to.emit('ScatterND', [emptyTable(to, [size, width], dtype, reduction), places, updates])
  const parts = Math.ceil((rows * width) / SERIAL_ELEMENTS)
  const wanted = size * width > CACHED ? Math.round((parts * size * width) / COPIED) : 1
  const groups = Math.max(1, Math.min(wanted, parts, Math.floor(width / GROUP_COLUMNS)))
  const columns = sizesOf(width, Math.ceil(width / groups))
  const steps = sizesOf(rows, Math.max(1, Math.floor(SERIAL_ELEMENTS / columns[0])))
  const stepPlaces = split(to, places, steps, 0)
  const tables = split(to, updates, columns, 1).map((group, i) =>
    split(to, group, steps, 0).reduce(
      (table, part, step) =>
        to.emit('ScatterND', [table, stepPlaces[step], part], { reduction: { string: reduction } }),
      emptyTable(to, [size, columns[i]], dtype, reduction),
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
function combineElements(
  to: Lowering,
  updates: string,
  places: string,
  { batch, before, picked, after, size, dtype, reduction = 'add' }: BlockScatter,
): string {
  const shape = to.shape([batch, before, picked, after])
  const each = to.emit('Reshape', [places, to.shape([batch, 1, picked, 1])], exact)
  const table = emptyTable(to, [batch, before, size, after], dtype, reduction)
  return to.emit(
    'ScatterElements',
    [table, to.emit('Expand', [each, shape]), to.emit('Reshape', [updates, shape], exact)],
    {
      axis: { int: 2 },
      reduction: { string: reduction },
    },
  )
}

/**
 * Writes the nodes that combine blocks into an empty table, repeated places too.
 * @param updates value name, elements in the order [batch, before, picked, after]
 * @param places value name, int64
 * @returns value name; elements in the order [batch, before, size, after], in whatever shape
 */
export function lowerBlockScatter(to: Lowering, updates: string, places: string, blocks: BlockScatter): string {
  const { batch, before, picked, after, size, dtype, reduction = 'add' } = blocks
  if (Math.min(batch, before, picked, after, size) < 0) return combineElements(to, updates, places, blocks)
  if (batch * before * picked * after === 0 || size === 0)
    return emptyTable(to, [batch * before, size, after], dtype, reduction)
  const lines = batch * before
  if (before > 1 && after < 8 && batch === 1) {
    // Many short rows under the same places: one long row each after exchanging the axes.
    const turned = to.emit('Transpose', [to.emit('Reshape', [updates, to.ints([before, picked, after])])], {
      perm: { ints: [1, 0, 2] },
    })
    const rows = to.emit('Reshape', [turned, to.ints([picked, before * after])])
    const column = to.emit('Reshape', [places, to.ints([picked, 1])])
    const table = combineRows(to, rows, column, [picked, before * after], size, blocks)
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
  return combineRows(to, rows, column, [lines * picked, after], lines * size, blocks)
}

/** `value` as int64. */
export const asInt64 = (to: Lowering, value: string, dtype: DType): string =>
  dtype === 'i64' ? value : to.emit('Cast', [value], { to: { int: onnxType('i64') } })
