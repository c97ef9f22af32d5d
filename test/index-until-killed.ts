// Indexes numbered items into a collection, for a test that kills this process on the way.
import { Collection } from '../src/search/index.ts'
import { numberedItems } from './numbered-items.ts'
import { wordEncoder } from './word-encoder.ts'

const [folder, count] = process.argv.slice(2)
const collection = await Collection.openOrCreate(folder, wordEncoder())
process.stdout.write(`opened ${collection.count}\n`)
await collection.index(numberedItems(Number(count)), {
  batchSize: 40,
  onProgress: ({ done }) => process.stdout.write(`${done}\n`),
})
process.stdout.write('finished\n')
await collection.close()
