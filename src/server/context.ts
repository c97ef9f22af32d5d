import type { ServerLimits } from './limits.ts'
import type { ServerMetrics } from './metrics.ts'
import type { Rasterizer } from './query-image.ts'
import { Refusal } from './refusal.ts'
import type { RequestSchemas } from './schemas.ts'
import type { ServedCollection } from './searchable.ts'
import type { WorkQueue } from './work-queue.ts'

/** What every route of one server shares. */
export interface ServerContext {
  readonly collections: readonly ServedCollection[]
  readonly limits: ServerLimits
  readonly schemas: RequestSchemas
  readonly queue: WorkQueue
  readonly metrics: ServerMetrics
  readonly rasterizer?: Rasterizer
}

/** @throws Refusal 404 when no collection has that name */
export function collectionNamed(context: ServerContext, name: string | undefined): ServedCollection {
  const found =
    name === undefined ? context.collections[0] : context.collections.find(({ collection }) => collection.name === name)
  if (found) return found
  const names = context.collections.map(({ collection }) => collection.name).join(', ')
  throw new Refusal(404, `collection ${JSON.stringify(name)} is not served here; there is ${names || 'none'}.`)
}
