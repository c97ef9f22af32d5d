import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from './check.ts'
import { pictureFolder } from './pictures.ts'
import { start, tenet } from './tenet.ts'

/** How often a run is killed; the closing figures of a release are made with more. */
const KILLS = Number(process.env.TENET_TEST_KILLS ?? 3)

const digest = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

/** The steps of a log without what a clock decides. */
const curve = async (folder: string): Promise<string> => readFile(join(folder, 'log.jsonl'), 'utf8')

describe('a training run that is killed', () => {
  it(`continues to the same bits after ${KILLS} kills at random moments`, async () => {
    const pictures = await pictureFolder()
    const runs = await mkdtemp(join(tmpdir(), 'tenet-kill-'))
    const [whole, broken] = [join(runs, 'whole'), join(runs, 'broken')]
    const args = (into: string): string[] => [
      'train',
      'classify',
      '--data',
      pictures,
      '--model',
      'cnn',
      '--options',
      '{"widths":[4,8]}',
      '--size',
      '16',
      '--epochs',
      '40',
      '--batch-size',
      '8',
      '--checkpoint-batches',
      '2',
      '--into',
      into,
      '--json',
    ]
    const straight = await tenet(...args(whole))
    expect(straight.stderr).toBe('')
    expect(straight.code).toBe(0)
    const pick = randomNumbers(Date.now() % 1000)
    let killed = 0
    while (killed < KILLS) {
      const run = start([...args(broken), '--resume'])
      // From the first checkpoint on, at any moment: within a step, a write, an epoch's end.
      while (!existsSync(join(broken, 'checkpoint.safetensors')) && run.process.exitCode === null) await sleep(5)
      await sleep((killed === 0 ? 0 : 900) + 600 * pick())
      run.process.kill('SIGKILL')
      const { signal, code } = await run.done
      if (signal !== 'SIGKILL') {
        expect(code).toBe(0)
        break
      }
      killed++
    }
    const last = await tenet(...args(broken), '--resume')
    expect(last.stderr).toBe('')
    expect(last.code).toBe(0)
    expect(killed).toBeGreaterThan(0)
    expect(await digest(join(broken, 'model.safetensors'))).toBe(await digest(join(whole, 'model.safetensors')))
    expect(await curve(broken)).toBe(await curve(whole))
  })
})
