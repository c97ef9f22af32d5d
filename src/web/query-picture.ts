import type { QueryPicture } from './location.ts'

/** More than any encoder looks at, and small enough for a history entry. */
const mostPixels = 384

const asDataUrl = (blob: Blob) =>
  new Promise<string>((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result))
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(blob)
  })

/**
 * Makes a picture file small enough to send. An SVG, and whatever the browser cannot read, goes to the server as it is:
 * the server draws it apart from everything else, or says what is wrong.
 */
export async function pictureOf(file: Blob): Promise<QueryPicture> {
  if (file.type !== 'image/svg+xml') {
    const bitmap = await createImageBitmap(file).catch(() => undefined)
    if (bitmap) return { url: shrink(bitmap), sketch: false }
  }
  return { url: await asDataUrl(file), sketch: false }
}

function shrink(bitmap: ImageBitmap): string {
  const scale = Math.min(1, mostPixels / Math.max(bitmap.width, bitmap.height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.max(1, Math.round(bitmap.width * scale))
  canvas.height = Math.max(1, Math.round(bitmap.height * scale))
  const context = canvas.getContext('2d')!
  context.fillStyle = '#fff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.imageSmoothingQuality = 'high'
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  bitmap.close()
  return canvas.toDataURL('image/png')
}

/** The first picture among what was dropped or pasted. */
export function pictureFile(data: DataTransfer | null): File | undefined {
  return [...(data?.files ?? [])].find(file => file.type.startsWith('image/')) ?? data?.files[0]
}
