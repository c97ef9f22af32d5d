/** How a path enters a cell: it starts there, or comes from the left (moving right), the right, below or above. */
export const MOVES = ['start', 'right', 'left', 'up', 'down'] as const

/** Four paths over a grid, as indices into its cells in reading order. */
export interface GridPaths {
  /** order[k][t] is the cell that path k visits at step t. */
  readonly order: readonly (readonly number[])[]
  /** inverse[k][cell] is the step at which path k visits a cell. */
  readonly inverse: readonly (readonly number[])[]
  /** direction[k][t] is the move that led to step t, an index into {@link MOVES}. */
  readonly direction: readonly (readonly number[])[]
}

/** Names of the families of paths. */
export type PathFamily = 'snake' | 'cross' | 'raster'

/** All cells, row by row; every other row backwards where `turning`. */
function rows(height: number, width: number, turning: boolean): number[] {
  return Array.from({ length: height * width }, (_, t) => {
    const [row, place] = [Math.floor(t / width), t % width]
    return row * width + (turning && row % 2 === 1 ? width - 1 - place : place)
  })
}

/** The same, column by column. */
const columns = (height: number, width: number, turning: boolean): number[] =>
  rows(width, height, turning).map(cell => (cell % height) * width + Math.floor(cell / height))

/** The move from one cell to the next; cells that are no neighbours count by their column first. */
function moveBetween(from: number, to: number, width: number): number {
  const [right, down] = [(to % width) - (from % width), Math.floor(to / width) - Math.floor(from / width)]
  if (right !== 0) return right > 0 ? 1 : 2
  return down < 0 ? 3 : 4
}

const invert = (order: readonly number[]): number[] => {
  const inverse = new Array<number>(order.length)
  order.forEach((cell, step) => {
    inverse[cell] = step
  })
  return inverse
}

const cache = new Map<string, GridPaths>()

/**
 * Four paths over a grid of `height` x `width` cells. `snake`: along the rows, turning at every border, so that successive
 * cells are neighbours; that path backwards; along the columns; and that backwards. `cross`: the same without
 * turning. `raster`: four times along the rows without turning.
 * @throws when a side is no whole number above 0. Source: Yang et al. 2024, "PlainMamba", section 3.3
 */
export function gridPaths(height: number, width: number, family: PathFamily = 'snake'): GridPaths {
  if (![height, width].every(side => Number.isInteger(side) && side > 0))
    throw new Error(`gridPaths: a grid needs whole sides above 0, got ${height}x${width}`)
  const key = `${family} ${height} ${width}`
  const known = cache.get(key)
  if (known) return known
  const turning = family === 'snake'
  const [along, across] = [rows(height, width, turning), columns(height, width, turning)]
  const order =
    family === 'raster' ? [along, along, along, along] : [along, along.toReversed(), across, across.toReversed()]
  const direction = order.map(cells =>
    cells.map((cell, step) => (step === 0 ? 0 : moveBetween(cells[step - 1], cell, width))),
  )
  const paths = { order, inverse: order.map(invert), direction }
  cache.set(key, paths)
  return paths
}

/** The four continuous paths of PlainMamba: {@link gridPaths} of the family `snake`. */
export const snakeOrders = (height: number, width: number): GridPaths => gridPaths(height, width, 'snake')
