import type { Metadata } from './api.ts'

/** How a copy of an icon is to look. */
export interface Look {
  /** A CSS colour, or undefined to leave `currentColor` as it is. */
  readonly colour?: string
  /** Side in pixels. */
  readonly size: number
}

/** The SVG with its size set and, where it has none of its own, its colour. */
export function styledSvg(svg: string, { colour, size }: Look): string {
  const sized = svg.replace(/^<svg\b[^>]*>/, tag => {
    const plain = tag.replace(/\s(?:width|height)="[^"]*"/g, '')
    return plain.replace(/^<svg/, `<svg width="${size}" height="${size}"`)
  })
  return colour ? sized.replaceAll('currentColor', colour) : sized
}

/** A data URL that reads well in CSS: only what must be escaped is. */
export const svgDataUrl = (svg: string): string =>
  `data:image/svg+xml,${svg
    .replaceAll('"', "'")
    .replace(/[%#<>{}\s]/g, character => (character === ' ' ? ' ' : encodeURIComponent(character)))}`

/** Draws the SVG and gives it as a PNG file. */
export async function pngOf(svg: string, look: Look): Promise<Blob> {
  const image = new Image()
  const address = URL.createObjectURL(new Blob([styledSvg(svg, look)], { type: 'image/svg+xml' }))
  try {
    image.src = address
    await image.decode()
    const canvas = document.createElement('canvas')
    canvas.width = look.size
    canvas.height = look.size
    canvas.getContext('2d')!.drawImage(image, 0, 0, look.size, look.size)
    const blob = await new Promise<Blob | null>(resolve => canvas.toBlob(resolve, 'image/png'))
    if (!blob) throw new Error(`the browser cannot make a PNG of ${look.size} pixels a side.`)
    return blob
  } finally {
    URL.revokeObjectURL(address)
  }
}

const pascal = (name: string): string => {
  const joined = name
    .split(/[^a-zA-Z0-9]+/)
    .map(part => part.charAt(0).toUpperCase() + part.slice(1))
    .join('')
  return /^\d/.test(joined) ? `Icon${joined}` : joined
}

/** SVG attributes under the names that JSX has for them. */
const jsxAttributes = (svg: string): string =>
  svg
    .replace(/\s(xlink:href)=/g, ' xlinkHref=')
    .replace(/\s([a-z]+(?:-[a-z]+)+)=/g, (whole, name: string) =>
      /^(aria|data)-/.test(name)
        ? whole
        : ` ${name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())}=`,
    )
    .replace(/\sstyle="([^"]*)"/g, (_, css: string) => ` style={${JSON.stringify(styleObject(css))}}`)
    .replace(/\sclass=/g, ' className=')

const styleObject = (css: string) =>
  Object.fromEntries(
    css
      .split(';')
      .map(rule => rule.split(':').map(part => part.trim()))
      .filter(([name, value]) => name && value)
      .map(([name, value]) => [name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]),
  )

export interface Snippet {
  readonly label: string
  readonly code: string
}

/** The icon as a component of its own; it needs no package. */
export function snippets(name: string, svg: string): readonly Snippet[] {
  const component = pascal(name)
  const open = (attributes: string) => (_: string, rest: string) => `<svg${rest} ${attributes}>`
  const root = /^<svg\b([^>]*)>/
  return [
    {
      label: 'React',
      code: `export const ${component} = props => (\n  ${jsxAttributes(svg).replace(root, open('{...props}'))}\n)`,
    },
    { label: 'Vue', code: `<template>\n  ${svg}\n</template>` },
    { label: 'Svelte', code: svg.replace(root, open('{...$$restProps}')) },
    { label: 'HTML', code: svg },
  ]
}

/** Class names by which UnoCSS's icon preset and Iconify's Tailwind plugin know an icon. */
export function cssClasses(id: string): readonly Snippet[] {
  const [set, name] = id.split(':')
  if (!set || !name) return []
  return [
    { label: 'UnoCSS', code: `i-${set}-${name}` },
    { label: 'Tailwind', code: `icon-[${set}--${name}]` },
  ]
}

/** True for drawings in one colour, which take the page's. */
export const takesColour = (metadata: Metadata): boolean => metadata.colour === false

export const textOf = (value: Metadata[string] | undefined): string =>
  value === undefined || value === null ? '' : Array.isArray(value) ? value.join(', ') : String(value)

export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** A file name made of an id: `mdi:cog` becomes `mdi-cog`. */
export const fileName = (id: string): string => id.replace(/[^\w.-]+/g, '-')
