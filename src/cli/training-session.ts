import type { Progress, Scores } from '../train/index.ts'
import { duration, ProgressBar } from './progress.ts'

/** What every training shows and listens to, whatever it trains. */
export interface TrainingSession {
  /** A line for people, on standard error. */
  say(line: string): void
  /** A line for people, above the progress bar. */
  note(line: string): void
  /** To be given to what trains. */
  readonly options: {
    readonly signal: AbortSignal
    readonly onProgress: (progress: Progress) => void
    readonly onEpoch: (epoch: number, scores: Scores) => void
  }
  /** Takes the bar down: what is printed next stands below it. */
  stopBar(): void
  /** Ends listening for Ctrl-C. */
  end(): void
}

/**
 * Progress, scores of each epoch, and Ctrl-C that ends the run after the current batch.
 *
 * @param names of metrics of a step (`loss` among them) shown in the bar
 * @param silent say nothing: the output is JSON
 */
export function trainingSession(names: readonly string[], silent: boolean): TrainingSession {
  const bar = new ProgressBar(
    `epoch {epoch} {bar} {value}/{total} ${names.map(name => `${name} {${name}}`).join(' ')} {rate}/s, {left} left`,
    { silent },
  )
  const say = (line: string): void => {
    if (!silent) console.error(line)
  }
  const note = (line: string): void => {
    if (!silent) bar.note(line)
  }
  const stop = new AbortController()
  const interrupt = (): void => {
    say('stopping after this batch; continue with --resume')
    stop.abort()
  }
  process.once('SIGINT', interrupt)
  return {
    say,
    note,
    options: {
      signal: stop.signal,
      onProgress: ({ epoch, epochs, batch, batches, step, samplesPerSecond, secondsLeft }) => {
        const values: Readonly<Record<string, number>> = { loss: step.loss, ...step.metrics }
        bar.update(batch, batches, {
          ...Object.fromEntries(names.map(name => [name, (values[name] ?? 0).toFixed(3)])),
          epoch: `${epoch + 1}/${epochs}`,
          rate: samplesPerSecond.toFixed(0),
          left: duration(secondsLeft),
        })
      },
      onEpoch: (epoch, scores) => {
        const shown = Object.entries(scores).map(([name, value]) => `${name} ${value.toFixed(4)}`)
        note(`epoch ${epoch}: ${shown.join(', ')}`)
      },
    },
    stopBar: () => bar.stop(),
    end: () => {
      bar.stop()
      process.off('SIGINT', interrupt)
    },
  }
}
