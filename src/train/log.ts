import { appendFile, readFile } from 'node:fs/promises'
import { writeAtomic } from './atomic.ts'

/** One line of a training log. */
export interface LogEntry {
  readonly kind: 'step' | 'validation'
  /** Batches trained on so far. */
  readonly batch: number
  readonly epoch: number
  readonly [name: string]: number | string
}

/** A training log: one JSON object a line. */
export class TrainingLog {
  readonly path: string
  #pending: string[] = []

  constructor(path: string) {
    this.path = path
  }

  add(entry: LogEntry): void {
    this.#pending.push(JSON.stringify(entry))
  }

  /** Appends what was added since the last flush. */
  async flush(): Promise<void> {
    if (this.#pending.length === 0) return
    const lines = `${this.#pending.join('\n')}\n`
    this.#pending = []
    await appendFile(this.path, lines)
  }

  /** All entries. A last line cut off by a kill is left out. */
  async read(): Promise<LogEntry[]> {
    let text: string
    try {
      text = await readFile(this.path, 'utf8')
    } catch {
      return []
    }
    return text.split('\n').flatMap(line => {
      try {
        return line ? [JSON.parse(line) as LogEntry] : []
      } catch {
        return []
      }
    })
  }

  /** Forgets everything after `batch`: what a run that continues from there will log again. */
  async rewind(batch: number): Promise<void> {
    const kept = (await this.read()).filter(entry => entry.batch <= batch)
    await writeAtomic(this.path, kept.map(entry => `${JSON.stringify(entry)}\n`).join(''))
  }
}
