import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { claimsFolder } from './claims/record.ts'

const parityRecord = z.array(
  z.object({
    golden: z.string(),
    system: z.string(),
    ok: z.boolean(),
    checked: z.number(),
    worst: z.object({ name: z.string(), absolute: z.number(), relative: z.number() }).nullable(),
  }),
)

/** How a golden compared when parity was last recorded. */
export type ParityRecord = z.infer<typeof parityRecord>[number]

/** File of the recorded comparisons, beside the claims. */
export const parityFile = join(claimsFolder, 'parity.json')

/** The recorded comparisons of one system, or of all; none where nothing is recorded. */
export async function readParity(system?: string, file = parityFile): Promise<ParityRecord[]> {
  const text = await readFile(file, 'utf8').catch(() => '[]')
  const records = parityRecord.parse(JSON.parse(text))
  return system === undefined ? records : records.filter(record => record.system === system)
}
