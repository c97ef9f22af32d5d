import { mkdtemp, readdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { tenet } from './tenet.ts'

it('makes a corpus of icons and prints what it holds, and refuses what it cannot do in one line', async () => {
  const work = await mkdtemp(join(tmpdir(), 'tenet-corpus-cli-'))
  const into = join(work, 'icons')
  const made = await tenet('corpus', 'icons', '--sets', 'heroicons, iconoir', '--size', '12', '--into', into, '--json')
  expect(made.stderr).toBe('')
  expect(made.code).toBe(0)
  const report = JSON.parse(made.stdout)
  expect(report.sets.map(({ set }: { set: string }) => set)).toEqual(['heroicons', 'iconoir'])
  expect(report.items).toBe(report.splits['unseen-set'])
  expect((await stat(join(into, 'pixels-12.bin'))).size).toBe(report.items * 12 * 12 * 3)

  const missing = await tenet('corpus', 'icons', '--sets', 'no-such', '--into', join(work, 'other'))
  expect(missing.code).toBe(2)
  expect(missing.stderr).toMatch(
    /^tenet: the icon set 'no-such' is not installed\..*npm install @iconify-json\/no-such\n$/,
  )
  await writeFile(join(work, 'notes.txt'), 'mine')
  const occupied = await tenet('corpus', 'icons', '--sets', 'heroicons', '--into', work)
  expect(occupied.code).toBe(2)
  expect(occupied.stderr).toContain('holds files that are no corpus')
  expect((await readdir(work)).sort()).toEqual(['icons', 'notes.txt'])
})

it('makes a lexicon of installed packages, and says in one line which ones it looked for', async () => {
  const work = await mkdtemp(join(tmpdir(), 'tenet-lexicon-cli-'))
  const into = join(work, 'lexicon.gz')
  const made = await tenet(
    'corpus',
    'lexicon',
    '--packages',
    'node_modules',
    '--languages',
    'de,ja',
    '--into',
    into,
    '--json',
  )
  expect(made.stderr).toBe('')
  const report = JSON.parse(made.stdout)
  const found = report.sources.find((source: { package: string }) => source.package === 'cldr-annotations-full')
  expect(found.translations).toBeGreaterThan(1000)
  expect((await stat(into)).size).toBe(report.bytes)

  const missing = await tenet('corpus', 'lexicon', '--packages', work, '--into', into)
  expect(missing.code).toBe(2)
  expect(missing.stderr).toMatch(/^tenet: .* holds none of the packages .*cldr-annotations-full\n$/)
})
