import { workerData } from 'node:worker_threads'
import { type Batch, BatchAssembler, type BatchRecipe, type BatchRequest, transferables } from './batch.ts'
import { serveRequests } from './worker-pool.ts'

// The thread of a DataLoader that makes batches.
const assembler = new BatchAssembler(workerData as BatchRecipe)

serveRequests<BatchRequest, Batch>(async request => {
  const batch = await assembler.assemble(request)
  return { reply: batch, transfer: transferables(batch) }
})
