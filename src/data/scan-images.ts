import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { Skipped } from './dataset.ts'
import { imageExtensions } from './decode.ts'

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
const isInside = (path: string, root: string) => path === root || path.startsWith(root + sep)

/** Hidden files and folders, and those that systems put beside pictures (`__MACOSX`, `@eaDir`), are no one's data. */
const isHidden = (name: string) => name.startsWith('.') || name.startsWith('__') || name.startsWith('@')

/** Endings of pictures that are not read; files with other endings are not taken for pictures. */
const unreadExtensions: ReadonlySet<string> = new Set(
  '.bmp .heic .heif .svg .svgz .jxl .jp2 .psd .ico .tga .ppm .pgm .pbm .dng .cr2 .nef .arw .exr .hdr'.split(' '),
)

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

/**
 * Finds folders and images below one root. Names are relative to it, with `/` between their parts, and come in order of name.
 *
 * A link to an image is followed when the image is below the root too. A link to a folder never is: it could lead out of the
 * root, in circles, or bring the same images in twice, on both sides of a split. What is left out is listed in `skipped`.
 */
export class ImageScanner {
  readonly skipped: Skipped[] = []
  private readonly root: string

  /** @param root real path of the folder */
  constructor(root: string) {
    this.root = root
  }

  /** The names of the folders directly in a folder; '' is the root. */
  async listFolders(folder: string): Promise<string[]> {
    const names: string[] = []
    for (const entry of await this.entries(folder)) {
      if (entry.isDirectory()) names.push(entry.name)
      else if (entry.isSymbolicLink()) await this.followLink(folder ? `${folder}/${entry.name}` : entry.name)
    }
    return names
  }

  /** Adds all images below a folder, depth first, to `images` and returns it. */
  async findImages(folder: string, images: string[] = []): Promise<string[]> {
    for (const entry of await this.entries(folder)) {
      const name = `${folder}/${entry.name}`
      if (entry.isDirectory()) await this.findImages(name, images)
      else if (entry.isFile() || (entry.isSymbolicLink() && (await this.followLink(name)))) {
        if (this.isImage(name)) images.push(name)
      }
    }
    return images
  }

  private async entries(folder: string): Promise<Dirent[]> {
    try {
      const entries = await readdir(join(this.root, folder), { withFileTypes: true })
      return entries.filter(({ name }) => !isHidden(name)).sort(byName)
    } catch (cause) {
      this.skip(folder, `cannot be opened (${(cause as NodeJS.ErrnoException).code})`)
      return []
    }
  }

  /** Whether a link leads to a file that may be read. */
  private async followLink(name: string): Promise<boolean> {
    const real = await realpath(join(this.root, name)).catch(() => undefined)
    if (real === undefined) return this.skip(name, 'is a link that leads nowhere')
    if (!isInside(real, this.root)) return this.skip(name, 'is a link that leads out of the folder')
    const target = await stat(real)
    if (target.isDirectory()) return this.skip(name, 'is a link to a folder, which is not followed')
    return target.isFile()
  }

  private isImage(name: string): boolean {
    const extension = extname(name).toLowerCase()
    if (unreadExtensions.has(extension)) {
      return this.skip(name, `has the ending ${extension}, which is not read; convert it to PNG or JPEG`)
    }
    return imageExtensions.has(extension)
  }

  private skip(name: string, reason: string): false {
    if (!this.skipped.some(other => other.name === name)) this.skipped.push({ name, reason })
    return false
  }
}
