import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { Skipped } from './dataset.ts'
import { imageExtensions } from './decode.ts'

/** What a walk over a folder found; names are relative to the root, with `/` between their parts. */
export interface ImageScan {
  /** Files with the ending of an image, in order of name. */
  files: string[]
  /** Links and files that were left out, and why. */
  skipped: Skipped[]
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
const isInside = (path: string, root: string) => path === root || path.startsWith(root + sep)

/** Hidden files and folders, and those that systems put beside pictures (`__MACOSX`, `@eaDir`), are no one's data. */
const isHidden = (name: string) => name.startsWith('.') || name.startsWith('__') || name.startsWith('@')

/** The folders directly in `folder`, links to folders included, in order of name. */
export async function listFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names: string[] = []
  for (const entry of entries.sort(byName)) {
    if (isHidden(entry.name)) continue
    if (entry.isDirectory()) names.push(entry.name)
    else if (entry.isSymbolicLink()) {
      const target = await stat(join(folder, entry.name)).catch(() => undefined)
      if (target?.isDirectory()) names.push(entry.name)
    }
  }
  return names
}

/** Endings of pictures that are not read; files with other endings are not taken for pictures. */
const unreadExtensions: ReadonlySet<string> = new Set(
  '.bmp .heic .heif .svg .svgz .jxl .jp2 .psd .ico .tga .ppm .pgm .pbm .dng .cr2 .nef .arw .exr .hdr'.split(' '),
)

/** Walks folders below one root, following links only where they stay inside it and lead nowhere twice. */
export class ImageScanner {
  private readonly root: string
  private readonly visited = new Set<string>()

  /** @param root real path of the folder that nothing outside of may be read */
  constructor(root: string) {
    this.root = root
  }

  /** All images below `folder` (a path relative to the root), depth first in order of name. */
  async scan(folder: string): Promise<ImageScan> {
    const found: ImageScan = { files: [], skipped: [] }
    await this.enter(folder, found)
    return found
  }

  private async enter(folder: string, found: ImageScan): Promise<void> {
    const real = await realpath(join(this.root, folder))
    if (!isInside(real, this.root)) {
      found.skipped.push({ name: folder, reason: 'is a link that leads out of the folder' })
      return
    }
    if (this.visited.has(real)) {
      found.skipped.push({ name: folder, reason: 'is a folder that was already read under another name' })
      return
    }
    this.visited.add(real)
    const entries = await readdir(real, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
      found.skipped.push({ name: folder, reason: `cannot be opened (${cause.code})` })
      return []
    })
    for (const entry of entries.sort(byName)) {
      if (!isHidden(entry.name)) await this.visit(`${folder}/${entry.name}`, entry, found)
    }
  }

  private async visit(name: string, entry: Dirent, found: ImageScan): Promise<void> {
    if (entry.isDirectory()) return this.enter(name, found)
    if (entry.isFile()) {
      this.add(name, found)
      return
    }
    if (!entry.isSymbolicLink()) return
    const real = await realpath(join(this.root, name)).catch(() => undefined)
    if (real === undefined) {
      found.skipped.push({ name, reason: 'is a link that leads nowhere' })
      return
    }
    if (!isInside(real, this.root)) {
      found.skipped.push({ name, reason: 'is a link that leads out of the folder' })
      return
    }
    const target = await stat(real)
    if (target.isDirectory()) return this.enter(name, found)
    if (target.isFile()) this.add(name, found)
  }

  private add(name: string, found: ImageScan): void {
    const extension = extname(name).toLowerCase()
    if (imageExtensions.has(extension)) found.files.push(name)
    else if (unreadExtensions.has(extension)) {
      found.skipped.push({ name, reason: `has the ending ${extension}, which is not read; convert it to PNG or JPEG` })
    }
  }
}

/** The real path of a folder. @throws Error in one line when it is missing or not a folder */
export async function realFolder(folder: string): Promise<string> {
  try {
    const real = await realpath(folder)
    if ((await stat(real)).isDirectory()) return real
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new Error(`image folder ${folder}: ${code === 'ENOENT' ? 'does not exist' : `cannot be opened (${code})`}.`, {
      cause,
    })
  }
  throw new Error(
    `image folder ${folder}: is a file; expected a folder that holds one folder of images for each class.`,
  )
}
