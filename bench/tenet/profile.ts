import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BenchCase } from '../cases/case.ts'
import { prepareCore } from './core.ts'
import { prepareTrain } from './train.ts'

/** The time that one kind of ONNX node takes in a run. */
export interface NodeTime {
  readonly op: string
  /** Shapes of its inputs, so that one slow node stands out among many quick ones of its kind. */
  readonly shapes: string
  readonly count: number
  readonly ms: number
}

interface TraceEvent {
  readonly cat: string
  readonly name: string
  readonly dur: number
  readonly args?: {
    readonly op_name?: string
    readonly input_type_shape?: readonly Record<string, readonly number[]>[]
  }
}

const runs = 10

/** Runs a case under ONNX Runtime's profiler and adds the kernels' times up by operator and input shapes, slowest first. */
export async function profile(benchCase: BenchCase): Promise<NodeTime[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tenet-profile-'))
  try {
    const session = { enableProfiling: true, profileFilePrefix: join(folder, 'run') }
    const prepare = benchCase.suite === 'core' ? prepareCore : prepareTrain
    const runnable = await prepare(benchCase, { session })
    for (let run = 0; run < runs; run++) await runnable.run()
    runnable.program.endProfiling()
    const events = readdirSync(folder).flatMap(
      file => JSON.parse(readFileSync(join(folder, file), 'utf8')) as TraceEvent[],
    )
    return total(events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time')))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function total(events: readonly TraceEvent[]): NodeTime[] {
  const groups = new Map<string, { op: string; shapes: string; durations: number[] }>()
  const perNode = new Map<string, number>()
  for (const { name, dur, args } of events) {
    const shapes = (args?.input_type_shape ?? []).map(input => `[${Object.values(input)[0]}]`).join(' ')
    const op = args?.op_name ?? name
    const key = `${op} ${shapes}`
    const group = groups.get(key) ?? { op, shapes, durations: [] }
    group.durations.push(dur)
    groups.set(key, group)
    perNode.set(name, (perNode.get(name) ?? 0) + 1)
  }
  // every node runs equally often; the first runs, before the timed ones, count as runs too
  const passes = Math.max(1, Math.min(...perNode.values()))
  return [...groups.values()]
    .map(({ op, shapes, durations }) => ({
      op,
      shapes,
      count: durations.length / passes,
      ms: durations.reduce((sum, duration) => sum + duration, 0) / passes / 1000,
    }))
    .sort((a, b) => b.ms - a.ms)
}

/** The slowest kinds of nodes as lines of text. */
export function formatProfile(times: readonly NodeTime[], most = 25): string {
  const all = times.reduce((sum, { ms }) => sum + ms, 0)
  const lines = times.slice(0, most).map(({ op, shapes, count, ms }) => {
    const share = ((100 * ms) / all).toFixed(0).padStart(3)
    return `${ms.toFixed(3).padStart(9)} ms ${share} %  ${String(Math.round(count)).padStart(4)} x ${op.padEnd(22)} ${shapes}`
  })
  return [...lines, `${all.toFixed(3).padStart(9)} ms in all nodes`].join('\n')
}
