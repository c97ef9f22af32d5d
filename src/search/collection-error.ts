/** A collection or a request that cannot be used, in one line that the user can act on. */
export class CollectionError extends Error {
  override readonly name = 'CollectionError'
}

/** The first line of whatever was thrown. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]
}
