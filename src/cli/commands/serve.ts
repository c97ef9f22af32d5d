import type { Command } from 'commander'
import type { ServedCollection } from '../../server/index.ts'
import type { IndexingDemo } from '../demo-collection.ts'
import { encoderOption, OpenedCollections } from '../encoders.ts'
import { openInBrowser } from '../open-in-browser.ts'
import { asUserError, commaList, wholeNumber } from '../options.ts'
import { UserError } from '../user-error.ts'

interface ServeFlags {
  readonly port: number
  readonly host: string
  readonly apiKey?: string
  readonly encoder?: string
  readonly demo: boolean
  readonly sets?: string[]
  readonly open: boolean
  readonly logLevel: string
  readonly json: boolean
}

const logLevels = ['silent', 'error', 'warn', 'info', 'debug']

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('serve collections over HTTP, with a page to search them')
    .argument('[collection...]', 'folders made by `tenet index`')
    .option('--port <n>', 'port to listen on', wholeNumber(0), 4242)
    .option('--host <address>', 'address to listen on; any but this machine itself needs an API key', '127.0.0.1')
    .option('--api-key <key>', 'ask every request for this key; also TENET_API_KEY')
    .option(encoderOption.flags, `${encoderOption.describes}; default of each collection the one that made it`)
    .option('--demo', 'index the installed icon sets in the background and serve them', false)
    .option('--sets <names>', 'of the demo: only these sets, separated by commas', commaList)
    .option('--open', 'show the page in the browser', false)
    .option('--log-level <name>', `${logLevels.join(', ')}; logs are JSON lines on standard error`, 'warn')
    .option('--json', 'print the address as JSON', false)
    .addHelpText(
      'after',
      '\nExamples:\n  tenet serve my-photos\n  tenet serve --demo --open\n  TENET_API_KEY=… tenet serve shop --host 0.0.0.0',
    )
    .action((folders: string[], flags: ServeFlags) => asUserError(() => serve(folders, flags)))
}

async function serve(folders: string[], flags: ServeFlags): Promise<void> {
  const { port, host, logLevel } = flags
  const apiKey = flags.apiKey ?? (process.env.TENET_API_KEY || undefined)
  if (folders.length === 0 && !flags.demo)
    throw new UserError('nothing to serve: name a collection made by `tenet index`, or give --demo')
  if (port > 65_535) throw new UserError(`--port is at most 65535, not ${port}`)
  if (!logLevels.includes(logLevel))
    throw new UserError(`--log-level is one of ${logLevels.join(', ')}, not '${logLevel}'`)
  const { createServer, isLoopback } = await import('../../server/index.ts')
  if (!isLoopback(host) && !apiKey)
    throw new UserError(`--host ${host} can be reached from other machines: give --api-key or TENET_API_KEY too`)
  const { SvgRasterizer } = await import('../../data/svg/index.ts')
  const opened = new OpenedCollections()
  const { collections, demo } = await openAll(folders, opened, flags)
  const rasterizer = await SvgRasterizer.create({ workers: 1 })
  const app = await createServer({
    collections,
    host,
    apiKey,
    rasterizer,
    logger: logLevel === 'silent' ? false : { level: logLevel, stream: process.stderr },
  })
  const stopped = untilStopped()
  const url = await app.listen({ port, host }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') throw new UserError(`port ${port} is in use; give another one with --port`)
    throw new UserError(`cannot listen on ${host}:${port} (${error.code ?? error.message})`)
  })
  if (flags.json)
    console.log(JSON.stringify({ url, collections: collections.map(({ collection }) => collection.name) }))
  else console.log(`Tenet is at ${url}  (Ctrl-C ends it)`)
  const indexing = demo?.start(line => flags.json || console.log(line))
  if (flags.open) await openInBrowser(url)
  await stopped
  demo?.stop()
  await app.close()
  await indexing
  await rasterizer.close()
  await demo?.served.collection.close()
  await opened.close()
}

async function openAll(
  folders: readonly string[],
  opened: OpenedCollections,
  { demo: wantsDemo, sets, encoder }: ServeFlags,
): Promise<{ collections: ServedCollection[]; demo?: IndexingDemo }> {
  const { collectionFacets } = await import('../../server/index.ts')
  const collections: ServedCollection[] = []
  for (const folder of folders) {
    const collection = await opened.open(folder, encoder)
    collections.push({ collection, facets: collectionFacets(collection) })
  }
  if (!wantsDemo) return { collections }
  const { demoCollection } = await import('../demo-collection.ts')
  const demo = await demoCollection(await opened.encoder(encoder), sets)
  return { collections: [demo.served, ...collections], demo }
}

/** Resolves at the first request to end; at a second one the process ends at once. */
function untilStopped(): Promise<void> {
  return new Promise(resolve => {
    let asked = false
    const stop = () => {
      if (asked) process.exit(130)
      asked = true
      resolve()
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}
