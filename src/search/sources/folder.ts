import { createHash } from 'node:crypto'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, sep } from 'node:path'
import { imageExtensions } from '../../data/decode.ts'
import { CollectionError } from '../collection-error.ts'
import type { SourceItem } from '../source-item.ts'
import { wordsOf } from '../words.ts'
import type { Source } from './source.ts'

const isPicture = (name: string): boolean => {
  const extension = extname(name).toLowerCase()
  return extension === '.svg' || imageExtensions.has(extension)
}

/** Names that cameras and systems give, which say nothing of what is to be seen. */
const cameraName = /^(img|dsc|dscn|dscf|pxl|mvimg|image|photo|screenshot|untitled|scan)?[\W_\d]*$/i

/**
 * Pictures below a folder. A file of the same name ending in `.txt` holds captions, one a line; without one the words of the
 * file's name and of its folder serve. Metadata: `folder`, `format`, `bytes`, `modified` (ISO 8601).
 *
 * @throws CollectionError when there is no such folder, or no picture in it
 */
export async function folderSource(folder: string): Promise<Source> {
  const root = await realpath(folder).catch(error => {
    throw new CollectionError(
      `source ${folder}: ${error.code === 'ENOENT' ? 'does not exist' : `cannot be opened (${error.code})`}.`,
    )
  })
  const skipped: { id: string; reason: string }[] = []
  const files: string[] = []
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    const id = relative(root, path).split(sep).join('/')
    // Hidden files and folders, and those that systems put beside pictures, are no one's data.
    if (id.split('/').some(part => /^[.@]|^__/.test(part)) || !isPicture(entry.name)) continue
    if (entry.isFile()) files.push(id)
    else if (entry.isSymbolicLink()) skipped.push({ id, reason: 'is a link, which is not followed' })
  }
  if (files.length === 0)
    throw new CollectionError(`source ${folder}: holds no pictures (PNG, JPEG, WebP, GIF, TIFF, AVIF, SVG).`)
  files.sort()
  return { title: folder, total: files.length, items: () => folderItems(root, files, skipped), skipped }
}

async function* folderItems(
  root: string,
  files: readonly string[],
  skipped: { id: string; reason: string }[],
): AsyncGenerator<SourceItem> {
  for (const id of files) {
    try {
      yield await folderItem(root, id)
    } catch (error) {
      skipped.push({ id, reason: `cannot be read (${(error as NodeJS.ErrnoException).code})` })
    }
  }
}

async function folderItem(root: string, id: string): Promise<SourceItem> {
  const path = join(root, id)
  const extension = extname(id)
  const { size, mtime } = await stat(path)
  const captions = await readFile(`${path.slice(0, -extension.length)}.txt`, 'utf8').catch(() => '')
  const lines = captions.split(/\r?\n/).map(line => line.trim())
  const written = lines.filter(line => line !== '').slice(0, 100)
  const name = basename(id, extension)
  const texts = written.length ? written : nameTexts(name, dirname(id))
  const metadata = {
    folder: dirname(id) === '.' ? '' : dirname(id),
    format: extension.slice(1).toLowerCase(),
    bytes: size,
    modified: mtime.toISOString(),
  }
  const fingerprint = createHash('sha1')
    .update(JSON.stringify([path, size, mtime.getTime(), texts]))
    .digest('hex')
  return { id, name, texts, image: { path }, metadata, fingerprint }
}

function nameTexts(name: string, folder: string): string[] {
  const texts = [
    cameraName.test(name) ? '' : wordsOf(name).join(' '),
    folder === '.' ? '' : wordsOf(basename(folder)).join(' '),
  ]
  return [...new Set(texts.filter(text => text !== ''))]
}
