// Brings the README's table of systems and docs/systems up to date. What takes long is recorded beside the claims: parity
// (where the reference files are at hand) and counted sizes. --parity, --sizes, --figures or --pages do only that, and write
// the texts from what is recorded; names of systems leave the others' records as they are.
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  compareGolden,
  countSize,
  loadSystems,
  type ParityRecord,
  parityFile,
  readGolden,
  readParity,
  readSizes,
  registry,
  reproductionOf,
  type SizeRecord,
  sizesFile,
} from '../src/systems/index.ts'
import { writeAtomic } from '../src/train/index.ts'
import { documented, systemPage, systemsTable, withTable } from './systems-docs.ts'
import { systemFigure } from './systems-figure.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const references = join(root, '..', 'shared', 'golden')
const pages = join(root, 'docs', 'systems')
const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

const steps = process.argv.slice(2).filter(word => word.startsWith('--'))
const only = process.argv.slice(2).filter(word => !word.startsWith('--'))
const all = steps.length === 0
const isChosen = (id: string): boolean => only.length === 0 || only.includes(id)

async function recordParity(): Promise<void> {
  if (!existsSync(references)) return console.log('no reference files: parity stays as it is recorded')
  const ids = registry.map(({ id }) => id).filter(isChosen)
  const records: ParityRecord[] = []
  for (const file of (await readdir(references)).filter(name => name.endsWith('.safetensors')).sort()) {
    const id = ids.find(one => file === `${one}.safetensors` || file.startsWith(`${one}.`))
    if (!id) continue
    try {
      const golden = readGolden(await readFile(join(references, file)), basename(file, '.safetensors'))
      const { ok, checked, worst } = await compareGolden(golden, await reproductionOf(golden))
      records.push({ golden: golden.name, system: golden.metadata.system, ok, checked, worst })
      console.log(`${golden.name}: ${ok ? 'ok' : 'FAILED'}, ${checked} tensors`)
    } catch (error) {
      console.log(`${file}: ${(error as Error).message}`)
    }
  }
  const others = (await readParity()).filter(one => !records.some(({ golden }) => golden === one.golden))
  await writeAtomic(parityFile, json([...others, ...records].sort((a, b) => (a.golden < b.golden ? -1 : 1))))
}

async function recordSizes(): Promise<void> {
  const before = await readSizes()
  const records: SizeRecord[] = []
  for (const system of await loadSystems())
    for (const size of system.sizes ?? []) {
      if (!isChosen(system.id)) {
        records.push(...before.filter(one => one.system === system.id && one.name === size.name))
        continue
      }
      try {
        const counted = countSize(system, size)
        records.push(counted)
        console.log(`${system.id} ${size.name}: ${counted.parameters} parameters, ${counted.multiplyAdds} multiply-adds`)
      } catch (error) {
        console.log(`${system.id} ${size.name}: ${(error as Error).message}`)
        records.push(...before.filter(one => one.system === system.id && one.name === size.name))
      }
    }
  await writeAtomic(sizesFile, json(records))
}

async function drawFigures(): Promise<void> {
  await mkdir(pages, { recursive: true })
  for (const system of (await loadSystems()).filter(({ id }) => isChosen(id))) {
    try {
      const figure = await systemFigure(system)
      if (figure) await writeAtomic(join(pages, `${system.id}.png`), figure)
    } catch (error) {
      console.log(`${system.id}: no figure: ${(error as Error).message}`)
    }
  }
}

if (all || steps.includes('--parity')) await recordParity()
if (all || steps.includes('--sizes')) await recordSizes()
if (all || steps.includes('--figures')) await drawFigures()
const systems = await documented()
await mkdir(pages, { recursive: true })
for (const one of systems) {
  const figure = existsSync(join(pages, `${one.system.id}.png`))
  await writeAtomic(join(pages, `${one.system.id}.md`), systemPage(one, { figure }))
}
const readme = join(root, 'README.md')
await writeAtomic(readme, withTable(await readFile(readme, 'utf8'), systemsTable(systems)))
console.log(`${systems.length} systems`)
process.exit(0)
