import { concat, formatShape, type Tensor } from '../core/index.ts'

/** Height and width of each map of a pyramid. */
export type LevelSizes = readonly (readonly [height: number, width: number])[]

/** Number of positions of all levels together. */
export const levelTokens = (sizes: LevelSizes): number =>
  sizes.reduce((sum, [height, width]) => sum + height * width, 0)

/**
 * Puts the positions of several maps one after another, row by row.
 * @param maps [batch, channels, height, width] of each level
 * @returns [batch, positions of all levels, channels]
 */
export const flattenLevels = (maps: readonly Tensor[]): Tensor =>
  concat(
    maps.map(map => map.rearrange('b c h w -> b (h w) c')),
    1,
  )

/**
 * Cuts tokens into those of each level.
 * @param tokens [batch, positions of all levels, channels]
 * @throws when there are not as many as the sizes ask for
 */
export function splitLevels(tokens: Tensor, sizes: LevelSizes): Tensor[] {
  const count = levelTokens(sizes)
  if (tokens.rank !== 3 || tokens.shape[1] !== count)
    throw new Error(
      `splitLevels: levels of ${sizes.map(size => size.join('x')).join(', ')} hold ${count} tokens, got ${formatShape(tokens.shape)}`,
    )
  return tokens.split(
    sizes.map(([height, width]) => height * width),
    1,
  )
}

/** The maps that {@link flattenLevels} put one after another: [batch, channels, height, width] of each level. */
export const unflattenLevels = (tokens: Tensor, sizes: LevelSizes): Tensor[] =>
  splitLevels(tokens, sizes).map((level, i) => level.rearrange('b (h w) c -> b c h w', { h: sizes[i][0] }))
