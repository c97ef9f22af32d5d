import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { multiplyAdds, placeholder } from '../core/index.ts'
import { parameterCount, withSeed } from '../nn/index.ts'
import { claimsFolder } from './claims/record.ts'
import type { PublishedSize, System } from './system.ts'

const sizeRecord = z.array(
  z.object({
    system: z.string(),
    name: z.string(),
    pictureSize: z.number(),
    /** Counted of the model built here. */
    parameters: z.number(),
    multiplyAdds: z.number(),
  }),
)

/** Parameters and multiply-adds of a published size, counted here. */
export type SizeRecord = z.infer<typeof sizeRecord>[number]

/** File of the counts, beside the claims. */
export const sizesFile = join(claimsFolder, 'sizes.json')

/** The recorded counts of one system, or of all; none where nothing is recorded. */
export async function readSizes(system?: string, file = sizesFile): Promise<SizeRecord[]> {
  const text = await readFile(file, 'utf8').catch(() => '[]')
  const records = sizeRecord.parse(JSON.parse(text))
  return system === undefined ? records : records.filter(record => record.system === system)
}

/** Classes that the published sizes classify into. */
const classes = 1000

/**
 * Builds a published size and counts its parameters and the multiply-adds of one picture.
 * @throws when the system has neither a model nor a segmenter
 */
export function countSize({ id, model, segmenters }: System, size: PublishedSize): SizeRecord {
  const kind = model ?? Object.values(segmenters ?? {})[0]
  if (!kind) throw new Error(`system '${id}' has no model to count`)
  const format = { channels: 3, size: [size.pictureSize, size.pictureSize] as const, classes: model ? classes : 1 }
  const network = withSeed(0, () => kind.build(format, size.options))
  const pictures = placeholder('images', [1, 3, ...format.size], 'f32')
  return {
    system: id,
    name: size.name,
    pictureSize: size.pictureSize,
    parameters: parameterCount(network),
    multiplyAdds: multiplyAdds([network.forward(pictures)]),
  }
}
