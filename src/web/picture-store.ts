import { fetchPictures } from './api.ts'
import { svgDataUrl } from './icon-code.ts'

/** Pictures that came together are shown together: one request for what a screen shows instead of one for each. */
const gatherMilliseconds = 12
const mostInOneRequest = 250
/** About 30 MB of small SVGs. */
const mostKept = 20_000

type Address = string | undefined

const known = new Map<string, Promise<Address>>()
const settled = new Map<string, Address>()
let waiting: { readonly id: string; readonly resolve: (address: Address) => void }[] = []

async function fetchWaiting(): Promise<void> {
  const batch = waiting.slice(0, mostInOneRequest)
  waiting = waiting.slice(mostInOneRequest)
  if (waiting.length > 0) setTimeout(fetchWaiting)
  const answer = await fetchPictures(batch.map(({ id }) => id)).catch(() => undefined)
  for (const { id, resolve } of batch) {
    const svg = answer?.pictures[id]
    const address = svg === undefined ? undefined : svgDataUrl(svg)
    // What could not be asked for is asked for again when it is shown again.
    if (answer) settled.set(id, address)
    else known.delete(id)
    resolve(address)
  }
}

/** The picture of an item when it is known already; null when it has to be fetched. */
export const pictureNow = (id: string): Address | null => (settled.has(id) ? settled.get(id) : null)

/** An address for the picture of an item: a data URL, or undefined when it is no SVG and has an address of its own. */
export function pictureLater(id: string): Promise<Address> {
  const found = known.get(id)
  if (found) return found
  if (known.size >= mostKept) {
    known.clear()
    settled.clear()
  }
  const address = new Promise<Address>(resolve => {
    if (waiting.length === 0) setTimeout(fetchWaiting, gatherMilliseconds)
    waiting.push({ id, resolve })
  })
  known.set(id, address)
  return address
}
