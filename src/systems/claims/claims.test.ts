import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Claim } from '../system.ts'
import { bundleHash } from './code-version.ts'
import { pairedDifference } from './difference.ts'
import { quickFault } from './quick.ts'
import { readClaim } from './record.ts'
import { type ClaimProgress, runClaim } from './run-claim.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenet-claims-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** An experiment of arithmetic: arm `with` is better by `gain` plus a little of the seed. */
function experiment(gain: number, ran: string[] = [], rest: Partial<Claim> = {}): Claim {
  return {
    statement: 'One is better.',
    data: 'none',
    metric: { name: 'accuracy', unit: '%', better: 'higher' },
    arms: [
      { name: 'with', what: 'the mechanism' },
      { name: 'without', what: 'none' },
    ],
    expected: { gain: 1 },
    run: async (arm, seed, { progress }) => {
      ran.push(`${arm} ${seed}`)
      progress(0.5, 1)
      return { value: 50 + seed + (arm === 'with' ? gain + 0.1 * seed : 0), losses: [3, 2, 1] }
    },
    ...rest,
  }
}

describe('a difference', () => {
  it('has Student’s interval of the paired differences', () => {
    // By hand: differences 1, 2, 3; mean 2, deviation 1, t of 2 degrees of freedom 4.302653.
    const { mean, interval, perSeed } = pairedDifference([11, 22, 33], [10, 20, 30], 'higher')
    expect(perSeed).toEqual([1, 2, 3])
    expect(mean).toBe(2)
    expect(interval[0]).toBeCloseTo(2 - 4.302653 / Math.sqrt(3), 5)
    expect(interval[1]).toBeCloseTo(2 + 4.302653 / Math.sqrt(3), 5)
  })

  it('is positive where lower is better and the first is lower', () => {
    expect(pairedDifference([1, 1], [2, 3], 'lower').perSeed).toEqual([1, 2])
  })

  it('needs the same seeds on both sides', () => {
    expect(() => pairedDifference([1], [1, 2], 'lower')).toThrow('1 values against 2')
  })
})

describe('a claim', () => {
  it('is recorded with every seed’s value, and holds by what was measured', async () => {
    const { record, recorded } = await runClaim({ id: 'sum', claim: experiment(2) }, { folder })
    expect(recorded).toBe(true)
    expect(record.holds).toBe(true)
    expect(record.difference.mean).toBeCloseTo(2.1)
    expect(record.arms.map(({ runs }) => runs.map(({ value }) => value))).toEqual([
      [52, 53.1, 54.2],
      [50, 51, 52],
    ])
    expect(await readClaim('sum', folder)).toEqual(record)
    expect(readFileSync(join(folder, 'sum.svg'), 'utf8')).toMatch(/^<svg[\s\S]*accuracy/)
    expect(existsSync(join(folder, '.partial', 'sum'))).toBe(false)
  })

  it('does not hold below the expected gain, or where one seed loses, or against a condition', async () => {
    expect((await runClaim({ id: 'a', claim: experiment(0.5) }, { folder })).record.holds).toBe(false)
    const uneven: Claim = {
      ...experiment(0),
      run: async (arm, seed) => ({ value: arm === 'with' ? [9, 9, -1][seed] : 0 }),
    }
    expect((await runClaim({ id: 'b', claim: uneven }, { folder })).record.holds).toBe(false)
    const lenient = { ...uneven, expected: { gain: 1, everySeed: false } }
    expect((await runClaim({ id: 'c', claim: lenient }, { folder })).record.holds).toBe(true)
    const conditions: Claim['conditions'] = results => {
      const best = results.get('with')!.map(({ value }) => value)
      return [{ what: 'values below 50', measured: best.join(', '), holds: best.every(value => value < 50) }]
    }
    const bound = await runClaim({ id: 'd', claim: experiment(2, [], { conditions }) }, { folder })
    expect(bound.record.holds).toBe(false)
    expect(bound.record.conditions[0].measured).toBe('52, 53.1, 54.2')
  })

  it('goes on after an interruption without running anything twice', async () => {
    const ran: string[] = []
    const stop = new AbortController()
    const claim = experiment(2, ran)
    const first = runClaim(
      { id: 'sum', claim },
      { folder, signal: stop.signal, onRun: ({ seed }) => seed === 1 && stop.abort(new Error('stopped')) },
    )
    await expect(first).rejects.toThrow('stopped')
    expect(ran).toEqual(['with 0', 'without 0', 'with 1'])
    const kept: string[] = []
    const { record } = await runClaim(
      { id: 'sum', claim },
      { folder, onRun: (run, before) => before && kept.push(run.arm) },
    )
    expect(ran).toEqual(['with 0', 'without 0', 'with 1', 'without 1', 'with 2', 'without 2'])
    expect(kept).toEqual(['with', 'without', 'with'])
    expect(record.difference.perSeed.length).toBe(3)
  })

  it('tells how far it is', async () => {
    const seen: ClaimProgress[] = []
    await runClaim({ id: 'sum', claim: experiment(2) }, { folder, onProgress: one => seen.push(one) })
    expect(seen.map(({ done }) => done)).toEqual([0, 1, 2, 3, 4, 5])
    expect(seen.every(({ runs, secondsLeft }) => runs === 6 && secondsLeft! >= 0)).toBe(true)
  })

  it('records nothing of a quick run or of too few seeds', async () => {
    const quick = await runClaim({ id: 'sum', claim: experiment(2) }, { folder, quick: true })
    expect(quick).toMatchObject({ recorded: false, faults: [], record: { difference: { interval: null } } })
    expect((await runClaim({ id: 'sum', claim: experiment(2) }, { folder, seeds: 2 })).recorded).toBe(false)
    expect(existsSync(join(folder, 'sum.json'))).toBe(false)
  })

  it('says why a quick run is no evidence', () => {
    expect(quickFault('a', { value: 1, losses: [3, 2, 1] })).toBeUndefined()
    expect(quickFault('a', { value: 1, losses: [1, 2, 3] })).toContain('the loss does not fall (1.000 to 3.000)')
    expect(quickFault('a', { value: 1, losses: [2, Number.NaN] })).toContain('a loss is NaN')
    expect(quickFault('a', { value: 1 })).toContain('0 losses were kept')
  })

  it('refuses a measurement that is no number, and a record that is none', async () => {
    const broken: Claim = { ...experiment(1), run: async () => ({ value: Number.NaN }) }
    await expect(runClaim({ id: 'sum', claim: broken }, { folder })).rejects.toThrow(
      "arm 'with' with seed 0 measured NaN",
    )
    writeFileSync(join(folder, 'sum.json'), '{"id": "sum"}')
    await expect(readClaim('sum', folder)).rejects.toThrow('is not a claim’s record'.replace('’', "'"))
  })
})

describe('the version of a claim’s code', () => {
  it('changes with what it runs, not with comments or what it does not use', async () => {
    mkdirSync(join(folder, 'x'))
    const [main, part] = [join(folder, 'x', 'claim.ts'), join(folder, 'x', 'part.ts')]
    writeFileSync(main, "import { used } from './part.ts'\nexport const claim = used(1)\n")
    writeFileSync(part, 'export const used = (x: number) => x + 1\nexport const unused = 3\n')
    const before = await bundleHash(main)
    writeFileSync(part, '// why\nexport const used = (x: number) =>\n  x + 1\nexport const unused = 4\n')
    expect(await bundleHash(main)).toBe(before)
    writeFileSync(part, 'export const used = (x: number) => x + 2\nexport const unused = 4\n')
    expect(await bundleHash(main)).not.toBe(before)
  })
})
