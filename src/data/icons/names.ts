import type { IconifyMetaData } from '@iconify/types'

/** How one set writes styles into its icons' names. */
export interface StyleNaming {
  /** Endings without their hyphen, longest first, and the style that each means. */
  readonly suffixes: ReadonlyArray<readonly [ending: string, style: string]>
  readonly prefixes: ReadonlyArray<readonly [beginning: string, style: string]>
  /** The style of a name without any of them. */
  readonly plain: string
}

/** An icon's name taken apart. */
export interface ParsedName {
  /** The name's words without the style, e.g. `arrow left`. */
  readonly words: string
  readonly style: string
}

/**
 * Endings of the sets whose metadata does not list them. Only what is a style in that set: `light` ends
 * `traffic-light` in mdi, and is a weight in ph.
 */
const knownSuffixes: Readonly<Record<string, readonly string[]>> = {
  mdi: ['outline'],
  tabler: ['filled'],
  bi: ['fill'],
  carbon: ['filled', 'outline', 'glyph'],
  iconoir: ['solid'],
}

const knownPlain: Readonly<Record<string, string>> = {
  mdi: 'filled',
  'material-symbols': 'filled',
  tabler: 'outline',
  ph: 'outline',
  fluent: 'outline',
  lucide: 'outline',
  bi: 'outline',
  ri: 'outline',
  carbon: 'outline',
  solar: 'outline',
  heroicons: 'outline',
  iconoir: 'outline',
  'game-icons': 'filled',
}

/** For sets that nothing is known about: endings that hardly ever mean anything else. */
const usualSuffixes = ['outlined', 'outline', 'filled', 'fill', 'solid', 'duotone', 'twotone', 'rounded', 'sharp']

/** Words of style endings, and the style that a reader of the name understands; the first that occurs decides. */
const styleWords: ReadonlyArray<readonly [word: RegExp, style: string]> = [
  [/duotone|two-?tone/, 'duotone'],
  [/broken/, 'broken'],
  [/outline|regular|linear|\bline\b/, 'outline'],
  [/thin/, 'thin'],
  [/light/, 'light'],
  [/fill|solid|glyph|baseline/, 'filled'],
  [/rounded|sharp|round/, 'filled'],
  [/bold/, 'bold'],
]

function styleOf(ending: string, set: string): string {
  // Solar calls its filled drawings bold; in phosphor bold is a weight of the outline.
  if (set === 'solar' && ending === 'bold') return 'filled'
  return styleWords.find(([word]) => word.test(ending))?.[1] ?? ending
}

const byLength = (a: readonly [string, string], b: readonly [string, string]) => b[0].length - a[0].length

/** How a set names its styles: the prefixes and suffixes that its metadata lists; without suffixes there, those of the tables above. */
export function styleNaming(set: string, metadata: IconifyMetaData, colour: boolean): StyleNaming {
  const listed = (table: Record<string, string> | undefined) =>
    Object.keys(table ?? {})
      .filter(ending => ending !== '')
      .map(ending => [ending, styleOf(ending, set)] as const)
      .sort(byLength)
  const known = metadata.suffixes ? listed(metadata.suffixes) : undefined
  const endings = knownSuffixes[set] ?? (set in knownPlain || colour ? [] : usualSuffixes)
  return {
    suffixes: known ?? endings.map(ending => [ending, styleOf(ending, set)] as const).sort(byLength),
    prefixes: listed(metadata.prefixes),
    plain: colour ? 'colour' : (knownPlain[set] ?? 'filled'),
  }
}

/** Takes a name apart into its words and its style, e.g. `arrow-left-24-filled` into `arrow left` and `filled`. */
export function parseName(name: string, naming: StyleNaming): ParsedName {
  let rest = name
  let style = naming.plain
  const suffix = naming.suffixes.find(([ending]) => rest.endsWith(`-${ending}`))
  if (suffix) {
    rest = rest.slice(0, -suffix[0].length - 1)
    style = suffix[1]
  }
  const prefix = naming.prefixes.find(([beginning]) => rest.startsWith(`${beginning}-`))
  if (prefix) {
    rest = rest.slice(prefix[0].length + 1)
    if (!suffix) style = prefix[1]
  }
  return { words: spoken(rest), style }
}

/** Letters and digits of a name or label as words in lower case, with single spaces. */
export function spoken(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}+#]+/gu, ' ')
    .trim()
}

const skinTones = /-(medium-)?(light|medium|dark)-skin-tone/g

/**
 * The key under which one concept is found in several sets: words joined by hyphens, without what only tells variants of
 * one drawing apart (numbers at the end, skin tones).
 *
 * @param words a name without its style, or a label
 */
export function conceptKey(words: string): string {
  const key = spoken(words).replaceAll(' ', '-').replace(skinTones, '')
  const stripped = key.replace(/(-\d+)+$/, '')
  return stripped === '' ? key : stripped
}
