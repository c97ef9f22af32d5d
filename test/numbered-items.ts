import type { SourceItem } from '../src/search/index.ts'

/** Items without pictures, some texts shared. */
export function* numberedItems(count: number, version = 1): Generator<SourceItem> {
  for (let n = 0; n < count; n++) {
    yield {
      id: `item-${n}`,
      name: `number ${n}`,
      texts: [`thing ${n}`, `group ${n % 7}`],
      metadata: { parity: n % 2 ? 'odd' : 'even', n },
      fingerprint: `${version}`,
    }
  }
}
