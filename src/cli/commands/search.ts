import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { encoderOption } from '../encoders.ts'
import { withCollection } from '../opened-collection.ts'
import { asUserError, wholeNumber } from '../options.ts'
import { printTable } from '../table.ts'
import { UserError } from '../user-error.ts'

interface SearchFlags {
  readonly image?: string
  readonly sketch?: string
  readonly like?: string[]
  readonly where?: string
  readonly top: number
  readonly mode: string
  readonly encoder?: string
  readonly json: boolean
}

export function addSearch(program: Command): void {
  program
    .command('search')
    .description('search a collection by words, a picture, a drawing or an item of it')
    .argument('<collection>', 'a folder made by `tenet index`')
    .argument('[text...]', 'what to look for; quote the words of one query, several are fused')
    .option('--image <file>', 'a picture that results should show')
    .option('--sketch <file>', 'a drawing of it')
    .option('--like <id...>', 'items that results should resemble')
    .option('--where <sql>', 'a condition over the metadata, such as "set = \'lucide\'"')
    .option('--top <n>', 'number of results', wholeNumber(1), 10)
    .option('--mode <name>', 'hybrid, meaning or keywords', 'hybrid')
    .option(encoderOption.flags, `${encoderOption.describes}; default the one that made the collection`)
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet search icons settings\n  tenet search icons "arrow left" --image example.png --where "style = \'filled\'"\n  tenet search icons --sketch drawing.png --top 20',
    )
    .action((folder: string, texts: string[], flags: SearchFlags) => asUserError(() => search(folder, texts, flags)))
}

/** A picture file's bytes. @throws UserError in one line */
export async function pictureBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`${file}: ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`}`)
  }
}

async function search(folder: string, texts: string[], flags: SearchFlags): Promise<void> {
  const { image, sketch, like, where, top, mode } = flags
  if (mode !== 'hybrid' && mode !== 'meaning' && mode !== 'keywords')
    throw new UserError(`--mode is hybrid, meaning or keywords, not '${mode}'`)
  if (image !== undefined && sketch !== undefined) throw new UserError('give --image or --sketch, not both')
  if (texts.length === 0 && !image && !sketch && !like && !where)
    throw new UserError('nothing to look for: give words, --image, --sketch, --like or --where')
  const file = image ?? sketch
  const bytes = file === undefined ? undefined : await pictureBytes(file)
  const request = { text: texts, image: bytes, sketch: sketch !== undefined, like, where, top, mode } as const
  await withCollection(folder, flags.encoder, async collection => {
    const found = await collection.search(request)
    if (flags.json) console.log(JSON.stringify(found))
    else if (found.results.length === 0) console.log('nothing found')
    else {
      const rows = found.results.map(({ id, score, texts: words, why }) => [
        id,
        score.toFixed(3),
        (why?.matched.length ? why.matched : words).slice(0, 5).join(', ').slice(0, 70),
      ])
      for (const { text, because } of found.understood ?? [])
        if (because !== 'phrase') console.log(`searched for “${text}”`)
      printTable(['id', 'score', 'words'], rows)
      console.log(`${found.total} ranked of ${collection.count} in ${found.milliseconds.toFixed(1)} ms`)
    }
  })
}
