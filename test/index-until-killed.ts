// Indexes numbered items into a collection, for a test that kills this process on the way.
import { setTimeout as pause } from 'node:timers/promises'
import { Collection, type SourceItem } from '../src/search/index.ts'
import { numberedItems } from './numbered-items.ts'
import { wordEncoder } from './word-encoder.ts'

const [folder, count] = process.argv.slice(2)
const collection = await Collection.openOrCreate(folder, wordEncoder())

/** Items at a pace that takes 400 of them longer than the test waits, however fast the machine. */
async function* slowly(items: Iterable<SourceItem>): AsyncGenerator<SourceItem> {
  let given = 0
  for (const item of items) {
    if (given++ % 10 === 0) await pause(10)
    yield item
  }
}

process.stdout.write(`opened ${collection.count}\n`)
await collection.index(slowly(numberedItems(Number(count))), {
  batchSize: 40,
  onProgress: ({ done }) => process.stdout.write(`${done}\n`),
})
process.stdout.write('finished\n')
await collection.close()
