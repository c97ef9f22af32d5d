import { strToU8, zip } from 'fflate'
import { fetchSvg, imageAddress } from './api.ts'
import { fileName, pngOf, styledSvg, textOf } from './icon-code.ts'
import type { BasketItem } from './use-basket.ts'

export interface ExportOptions {
  readonly svg: boolean
  readonly png: boolean
  /** Side of the PNGs, in pixels. */
  readonly size: number
}

/** The chosen items in one zip: pictures by set, and whose work they are. */
export async function exportBasket(items: readonly BasketItem[], { svg, png, size }: ExportOptions): Promise<Blob> {
  const files: Record<string, Uint8Array> = { 'LICENCES.md': strToU8(licences(items)) }
  for (const { id, metadata } of items) {
    const path = `${fileName(textOf(metadata.set) || 'items')}/${fileName(id.split(':').at(-1) ?? id)}`
    const document = await fetchSvg(id)
    if (document && svg) files[`${path}.svg`] = strToU8(styledSvg(document, { size: 24 }))
    if (png || !document)
      files[`${path}.png`] = await bytesOf(document ? await pngOf(document, { size }) : await fetchPicture(id, size))
  }
  const bytes = await new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) =>
    zip(files, { level: 6 }, (error, data) => (error ? reject(error) : resolve(data as Uint8Array<ArrayBuffer>))),
  )
  return new Blob([bytes], { type: 'application/zip' })
}

const bytesOf = async (blob: Blob) => new Uint8Array(await blob.arrayBuffer())

async function fetchPicture(id: string, size: number): Promise<Blob> {
  const response = await fetch(`${imageAddress(id)}?size=${Math.min(1024, Math.max(16, size))}`)
  if (!response.ok) throw new Error(`the picture of ${id} could not be fetched (${response.status}).`)
  return response.blob()
}

function licences(items: readonly BasketItem[]): string {
  const groups = new Map<string, string[]>()
  for (const { id, metadata } of items) {
    const by = ['set', 'author', 'licence'].map(field => textOf(metadata[field]) || 'unknown').join(' | ')
    groups.set(by, [...(groups.get(by) ?? []), id])
  }
  const rows = [...groups].map(([by, ids]) => `| ${by} | ${ids.join(', ')} |`)
  return [
    '# Whose work this is',
    '',
    '| set | author | licence | items |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}
