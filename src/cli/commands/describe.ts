import type { Command } from 'commander'
import { encoderOption } from '../encoders.ts'
import { withCollection } from '../opened-collection.ts'
import { asUserError, wholeNumber } from '../options.ts'
import { printTable } from '../table.ts'
import { pictureBytes } from './search.ts'

interface DescribeFlags {
  readonly collection: string
  readonly top: number
  readonly encoder?: string
  readonly json: boolean
}

export function addDescribe(program: Command): void {
  program
    .command('describe')
    .description('say in the words of a collection what a picture shows')
    .argument('<image>', 'a picture file')
    .option('--collection <folder>', 'whose texts to choose from', 'icons')
    .option('--top <n>', 'number of texts', wholeNumber(1), 10)
    .option(encoderOption.flags, `${encoderOption.describes}; default the one that made the collection`)
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  tenet describe picture.png --collection icons')
    .action((file: string, flags: DescribeFlags) => asUserError(() => describe(file, flags)))
}

async function describe(
  file: string,
  { collection: folder, top, encoder: weights, json }: DescribeFlags,
): Promise<void> {
  const bytes = await pictureBytes(file)
  const texts = await withCollection(folder, weights, collection => collection.describe(bytes, top))
  if (json) console.log(JSON.stringify({ texts }))
  else if (texts.length === 0) console.log(`the items of ${folder} carry no texts`)
  else
    printTable(
      ['text', 'score', 'items'],
      texts.map(({ text, score, count }) => [text, score.toFixed(3), String(count)]),
    )
}
