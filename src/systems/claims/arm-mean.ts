import type { ArmResult } from '../system.ts'

/** Mean over the seeds of what an arm measured. */
export function armMean(results: ReadonlyMap<string, readonly ArmResult[]>, arm: string): number {
  const values = results.get(arm) ?? []
  return values.reduce((sum, { value }) => sum + value, 0) / values.length
}
