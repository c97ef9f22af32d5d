import type { ArmResult } from '../system.ts'
import { meanOf } from './difference.ts'

/** Why a short run is no evidence that an experiment works; undefined when it is. */
export function quickFault(arm: string, { value, losses = [] }: ArmResult): string | undefined {
  if (!Number.isFinite(value)) return `${arm}: the metric is ${value}`
  if (losses.length < 2) return `${arm}: ${losses.length} losses were kept; expected at least 2`
  const odd = losses.find(loss => !Number.isFinite(loss))
  if (odd !== undefined) return `${arm}: a loss is ${odd}`
  const third = Math.max(1, Math.floor(losses.length / 3))
  const [first, last] = [meanOf(losses.slice(0, third)), meanOf(losses.slice(-third))]
  return last < first ? undefined : `${arm}: the loss does not fall (${first.toPrecision(4)} to ${last.toPrecision(4)})`
}
