import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { tableExtensions } from '../../data/table.ts'
import { CollectionError } from '../collection-error.ts'
import { folderSource } from './folder.ts'
import { iconSource } from './icons.ts'
import type { Source } from './source.ts'
import { type TableColumns, tableSource } from './table.ts'

export type { Source } from './source.ts'
export type { TableColumns } from './table.ts'

/**
 * Opens what `tenet index` is given: `icons` (the installed Iconify sets), a folder of pictures, or a table.
 *
 * @throws CollectionError when it is none of these
 */
export async function openSource(
  name: string,
  { sets, columns }: { sets?: readonly string[]; columns?: TableColumns } = {},
): Promise<Source> {
  if (name === 'icons') return iconSource(sets)
  if (tableExtensions.includes(extname(name).toLowerCase())) return tableSource(name, columns)
  const isFile = await stat(name).then(
    info => info.isFile(),
    () => false,
  )
  if (isFile)
    throw new CollectionError(
      `source ${name}: is neither 'icons', a folder of pictures, nor a table (${tableExtensions.join(', ')}).`,
    )
  return folderSource(name)
}
