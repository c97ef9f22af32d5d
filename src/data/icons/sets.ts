import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { IconifyInfo, IconifyJSON, IconifyMetaData } from '@iconify/types'

/** The sets that the committed encoder is trained on. */
export const trainingSets = [
  'mdi',
  'material-symbols',
  'tabler',
  'ph',
  'fluent',
  'lucide',
  'bi',
  'ri',
  'carbon',
  'solar',
  'game-icons',
  'twemoji',
  'noto',
  'openmoji',
  'fluent-emoji-flat',
] as const

/** The sets that training never sees, so that they tell how well unknown drawings are found. */
export const unseenSets = ['heroicons', 'iconoir'] as const

/** Sets of emoji: their icons are matched with emojibase. */
export const emojiSets: ReadonlySet<string> = new Set(['twemoji', 'noto', 'openmoji', 'fluent-emoji-flat'])

/** What an installed icon set says about itself. */
export interface IconSetInfo {
  /** Its prefix, as in `mdi:cog`. */
  readonly set: string
  readonly name: string
  readonly version: string
  /** Icons that are not withdrawn. */
  readonly total: number
  readonly author: string
  readonly authorUrl: string | undefined
  /** The SPDX identifier where the set gives one, otherwise the licence's title. */
  readonly licence: string
  readonly licenceUrl: string | undefined
  /** True when the icons carry colours of their own. */
  readonly colour: boolean
  readonly folder: string
}

/** Everything that an installed set's package holds. */
export interface LoadedSet {
  readonly info: IconSetInfo
  readonly icons: IconifyJSON
  readonly metadata: IconifyMetaData
  /** Character code (hexadecimal, `1f600` or `1f1e6-1f1e8`) to icon name. */
  readonly characters: Readonly<Record<string, string>>
}

/** node_modules folders from `from` up to the root, nearest first. */
function moduleFolders(from: string): string[] {
  const folders: string[] = []
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    folders.push(join(folder, 'node_modules'))
    if (dirname(folder) === folder) return folders
  }
}

/** The places where packages of icons and words are looked for: the user's project, then this package and its demo. */
function searchPath(from: string): string[] {
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  return [...new Set([...moduleFolders(from), ...moduleFolders(join(root, 'demo'))])].filter(folder =>
    existsSync(folder),
  )
}

/**
 * The folder of an installed package, looked for as Node would from `from`, then from this package and its demo.
 *
 * @returns undefined when it is not installed
 */
export function packageFolder(name: string, from = process.cwd()): string | undefined {
  return searchPath(from)
    .map(folder => join(folder, ...name.split('/')))
    .find(folder => existsSync(join(folder, 'package.json')))
}

/** Reads a JSON file whose shape its package documents. */
export function readJson<T>(file: string): T {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T
  } catch (cause) {
    throw new Error(`${file} cannot be read as JSON (${(cause as Error).message}); install its package again.`)
  }
}

/** Prefixes of the Iconify sets (`@iconify-json/*`) that are installed, sorted; the nearest copy of each counts. */
export function installedSets(from = process.cwd()): string[] {
  const found = new Set<string>()
  for (const folder of searchPath(from)) {
    const scope = join(folder, '@iconify-json')
    if (!existsSync(scope)) continue
    for (const name of readdirSync(scope)) if (existsSync(join(scope, name, 'icons.json'))) found.add(name)
  }
  return [...found].sort()
}

function setFolder(set: string): string {
  const folder = /^[a-z0-9-]+$/.test(set) ? packageFolder(`@iconify-json/${set}`) : undefined
  if (folder) return folder
  const installed = installedSets()
  const hint = installed.length > 0 ? `Installed: ${installed.join(', ')}.` : 'No set is installed.'
  throw new Error(`the icon set '${set}' is not installed. ${hint} Install it with: npm install @iconify-json/${set}`)
}

const optionalJson = <T>(file: string, otherwise: T): T => (existsSync(file) ? readJson<T>(file) : otherwise)

function describeSet(set: string, folder: string): IconSetInfo {
  const info = optionalJson<Partial<IconifyInfo>>(join(folder, 'info.json'), {})
  const { version } = readJson<{ version: string }>(join(folder, 'package.json'))
  return {
    set,
    name: info.name ?? set,
    version,
    total: info.total ?? 0,
    author: info.author?.name ?? 'unknown',
    authorUrl: info.author?.url,
    licence: info.license?.spdx ?? info.license?.title ?? 'unknown',
    licenceUrl: info.license?.url,
    colour: info.palette ?? false,
    folder,
  }
}

/**
 * What the installed sets say about themselves.
 *
 * @param names prefixes such as `mdi`; default every installed set
 * @throws Error that names a set which is not installed, and the command that installs it
 */
export function iconSets(names: readonly string[] = installedSets()): IconSetInfo[] {
  return names.map(set => describeSet(set, setFolder(set)))
}

/** Reads the whole of one installed set. */
export function loadSet(set: string): LoadedSet {
  const folder = setFolder(set)
  return {
    info: describeSet(set, folder),
    icons: readJson<IconifyJSON>(join(folder, 'icons.json')),
    metadata: optionalJson<IconifyMetaData>(join(folder, 'metadata.json'), {}),
    characters: optionalJson<Record<string, string>>(join(folder, 'chars.json'), {}),
  }
}
