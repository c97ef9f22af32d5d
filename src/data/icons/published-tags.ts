import { createRequire } from 'node:module'
import { join } from 'node:path'
import { conceptKey } from './names.ts'
import { packageFolder, readJson } from './sets.ts'

/** What an icon project publishes for people who search its icons. */
export interface PublishedWords {
  /** Other names of the icon. */
  readonly aliases: readonly string[]
  /** Words that it should be found by. */
  readonly tags: readonly string[]
  readonly categories: readonly string[]
}

/** The published words of one icon project, for pairs of texts. */
export interface KeywordList extends PublishedWords {
  /** The package that publishes them. */
  readonly source: string
  readonly name: string
}

type WordsByName = ReadonlyMap<string, PublishedWords>

const none: PublishedWords = { aliases: [], tags: [], categories: [] }

interface MdiIcon {
  readonly name: string
  readonly aliases: readonly string[]
  /** The project's word for categories. */
  readonly tags: readonly string[]
}

interface TablerIcon {
  readonly category?: string
  readonly tags?: ReadonlyArray<string | number>
}

interface PhosphorIcon {
  readonly name: string
  readonly tags: readonly string[]
  readonly categories: readonly string[]
}

interface FontAwesomeIcon {
  readonly label: string
  readonly aliases?: { readonly names?: readonly string[] }
  readonly search?: { readonly terms?: ReadonlyArray<string | number> }
}

const table = <T>(rows: Iterable<readonly [string, T]>, words: (row: T) => Partial<PublishedWords>): WordsByName =>
  new Map([...rows].map(([name, row]) => [name, { ...none, ...words(row) }]))

/** How the words of each project are read, given the folder of its package. */
const readers: Readonly<Record<string, { package: string; read: (folder: string) => WordsByName }>> = {
  lucide: {
    package: 'lucide-static',
    read: folder =>
      table(Object.entries(readJson<Record<string, string[]>>(join(folder, 'tags.json'))), tags => ({ tags })),
  },
  mdi: {
    package: '@mdi/svg',
    read: folder =>
      table(
        readJson<MdiIcon[]>(join(folder, 'meta.json')).map(icon => [icon.name, icon]),
        ({ aliases, tags }) => ({ aliases, categories: tags }),
      ),
  },
  tabler: {
    package: '@tabler/icons',
    read: folder =>
      table(
        Object.entries(readJson<Record<string, TablerIcon>>(join(folder, 'icons.json'))),
        ({ tags = [], category }) => ({ tags: tags.map(String), categories: category ? [category] : [] }),
      ),
  },
  ph: {
    package: '@phosphor-icons/core',
    read: folder => {
      const { icons } = createRequire(join(folder, 'package.json'))('@phosphor-icons/core') as { icons: PhosphorIcon[] }
      return table(
        icons.map(icon => [icon.name, icon]),
        // Tags in asterisks, such as *new*, are about the icon's age.
        ({ tags, categories }) => ({ tags: tags.filter(tag => !tag.startsWith('*')), categories }),
      )
    },
  },
  'fa6-solid': {
    package: '@fortawesome/fontawesome-free',
    read: folder =>
      table(
        Object.entries(readJson<Record<string, FontAwesomeIcon>>(join(folder, 'metadata', 'icon-families.json'))),
        ({ label, aliases, search }) => ({
          aliases: [label, ...(aliases?.names ?? [])],
          tags: (search?.terms ?? []).map(String),
        }),
      ),
  },
}

function readWords(set: string): WordsByName {
  const reader = readers[set]
  const folder = reader && packageFolder(reader.package)
  return folder ? reader.read(folder) : new Map()
}

/**
 * Looks up the words that a set's own project publishes for its icons.
 *
 * @returns a function of an icon's names, most exact first (with and without the style); it gives no words for sets whose
 * project publishes none, or whose package is not installed
 */
export function publishedWords(set: string): (...names: string[]) => PublishedWords {
  const words = readWords(set)
  return (...names) => {
    for (const name of names) {
      const found = words.get(name)
      if (found) return found
    }
    return none
  }
}

/** The words of every icon project whose package is installed, one entry an icon. */
export function keywordLists(): KeywordList[] {
  return Object.entries(readers).flatMap(([set, reader]) =>
    [...readWords(set)].map(([name, words]) => ({ source: reader.package, name: conceptKey(name), ...words })),
  )
}
