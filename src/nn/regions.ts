import { formatShape, pad, type Tensor } from '../core/index.ts'

function checkGrid(what: string, x: Tensor, [rows, columns]: readonly [number, number]): void {
  const [, height, width] = x.shape
  if (x.rank !== 4) throw new Error(`${what}: expected [batch, height, width, channels], got ${formatShape(x.shape)}`)
  if (height < rows || width < columns)
    throw new Error(
      `${what}: ${height}x${width} tokens are fewer than ${rows}x${columns} regions; use fewer regions or a larger picture`,
    )
  if (height % rows !== 0 || width % columns !== 0)
    throw new Error(
      `${what}: ${height}x${width} tokens do not divide into ${rows}x${columns} regions; pad them or use another number of regions`,
    )
}

/**
 * Cuts a map into a grid of equal regions, which come row by row, as do the tokens inside each.
 * @param x [batch, height, width, channels]
 * @param grid rows and columns of regions
 * @returns [batch, regions, tokens of a region, channels]
 * @throws when the map does not divide into the grid
 */
export function regionPartition(x: Tensor, grid: readonly [number, number]): Tensor {
  checkGrid('regionPartition', x, grid)
  return x.rearrange('b (r h) (c w) d -> b (r c) (h w) d', { r: grid[0], c: grid[1] })
}

/**
 * Puts regions back into a map: the inverse of {@link regionPartition}.
 * @param regions [batch, regions, tokens of a region, channels]
 * @param grid rows and columns of regions
 * @param size height and width of the map
 * @returns [batch, height, width, channels]
 */
export function regionMerge(
  regions: Tensor,
  [rows, columns]: readonly [number, number],
  [height, width]: readonly [number, number],
): Tensor {
  return regions.rearrange('b (r c) (h w) d -> b (r h) (c w) d', {
    r: rows,
    c: columns,
    h: height / rows,
    w: width / columns,
  })
}

/**
 * Adds zeros below and to the right, up to the next multiple of a number of rows and columns.
 * @param x [batch, height, width, channels]
 */
export function padToMultiple(x: Tensor, [rows, columns]: readonly [number, number]): Tensor {
  const [, height, width] = x.shape
  const below = (rows - (height % rows)) % rows
  const right = (columns - (width % columns)) % columns
  if (below === 0 && right === 0) return x
  return pad(x, [
    [0, 0],
    [0, below],
    [0, right],
    [0, 0],
  ])
}
