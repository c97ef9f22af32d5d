import cliProgress from 'cli-progress'

/** A progress bar on standard error; silent where that is not a terminal or the output is JSON. */
export class ProgressBar {
  readonly #bar: cliProgress.SingleBar | undefined
  #started = false

  /** @param format what to show, in cli-progress's notation */
  constructor(format: string, { silent = false } = {}) {
    if (silent || !process.stderr.isTTY) return
    this.#bar = new cliProgress.SingleBar(
      { format, stream: process.stderr, hideCursor: true, etaBuffer: 50, clearOnComplete: false },
      cliProgress.Presets.shades_classic,
    )
  }

  update(done: number, total: number, values: Record<string, string> = {}): void {
    if (!this.#bar) return
    if (!this.#started) this.#bar.start(total, done, values)
    this.#started = true
    this.#bar.setTotal(total)
    this.#bar.update(done, values)
  }

  /** Prints a line above the bar. */
  note(line: string): void {
    if (this.#started) process.stderr.write('\r\x1b[K')
    process.stderr.write(`${line}\n`)
  }

  stop(): void {
    if (this.#started) this.#bar?.stop()
    this.#started = false
  }
}

/** `1h 02m`, `3m 20s` or `12s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  if (h) return `${h}h ${String(m).padStart(2, '0')}m`
  return m ? `${m}m ${String(s).padStart(2, '0')}s` : `${s}s`
}
