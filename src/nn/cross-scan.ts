import { flip, formatShape, type Tensor } from '../core/index.ts'

/**
 * Ways to read a map as sequences. `forward`: row by row. `both`: that and its reverse. `cross`: row by row, column by
 * column, and the reverses of both (VMamba's four routes).
 */
export type ScanPattern = 'forward' | 'both' | 'cross'

interface Route {
  readonly columns: boolean
  readonly reversed: boolean
}

const patterns: Readonly<Record<ScanPattern, readonly Route[]>> = {
  forward: [{ columns: false, reversed: false }],
  both: [
    { columns: false, reversed: false },
    { columns: false, reversed: true },
  ],
  cross: [
    { columns: false, reversed: false },
    { columns: true, reversed: false },
    { columns: false, reversed: true },
    { columns: true, reversed: true },
  ],
}

/** Number of routes of a pattern. */
export const routeCount = (pattern: ScanPattern): number => patterns[pattern].length

/**
 * Reads a map along every route of a pattern.
 * @param map [batch, height, width, channels]
 * @returns sequences [height * width, batch, channels], time first as the selective scan reads them, one a route
 * @throws when the map has another rank. Source: Liu et al. 2024, "VMamba", section 4.2
 */
export function crossScan2d(map: Tensor, pattern: ScanPattern = 'cross'): Tensor[] {
  if (map.rank !== 4)
    throw new Error(`crossScan2d: expected [batch, height, width, channels], got ${formatShape(map.shape)}`)
  const rows = map.rearrange('b h w c -> (h w) b c')
  const columns = map.rearrange('b h w c -> (w h) b c')
  return patterns[pattern].map(route => {
    const sequence = route.columns ? columns : rows
    return route.reversed ? flip(sequence, 0) : sequence
  })
}

/**
 * Brings sequences of {@link crossScan2d} back to reading order.
 * @param grid height and width
 * @returns [height * width, batch, channels] for each route
 * @throws when there are not as many sequences as routes
 */
export function crossUnscan2d(
  sequences: readonly Tensor[],
  [height, width]: readonly [number, number],
  pattern: ScanPattern = 'cross',
): Tensor[] {
  const routes = patterns[pattern]
  if (sequences.length !== routes.length)
    throw new Error(`crossUnscan2d: ${sequences.length} sequences for the ${routes.length} routes of '${pattern}'`)
  return sequences.map((sequence, k) => {
    const straight = routes[k].reversed ? flip(sequence, 0) : sequence
    return routes[k].columns ? straight.rearrange('(w h) b c -> (h w) b c', { h: height, w: width }) : straight
  })
}

/** The sum of {@link crossUnscan2d} as a map [batch, height, width, channels]. */
export function crossMerge2d(
  sequences: readonly Tensor[],
  grid: readonly [number, number],
  pattern: ScanPattern = 'cross',
): Tensor {
  return crossUnscan2d(sequences, grid, pattern)
    .reduce((a, b) => a.add(b))
    .rearrange('(h w) b c -> b h w c', { h: grid[0] })
}
