import { imageSize } from 'image-size'
import { SaxesParser, type SaxesTagPlain } from 'saxes'
import { drawnElements, type Outline } from './references.ts'

export interface SvgLimits {
  /** Largest document, in characters. Default 2 million. */
  maxLength?: number
  /** Deepest nesting of elements. Default 100. */
  maxDepth?: number
  /** Most elements drawn, counting what `use`, patterns, masks and markers draw again. Default 100,000. */
  maxElements?: number
  /** Largest ratio of the longer to the shorter side. Default 200. */
  maxAspect?: number
  /** Largest picture embedded as a data address, in pixels. Default 4 million. */
  maxEmbeddedPixels?: number
}

const defaults: Required<SvgLimits> = {
  maxLength: 2_000_000,
  maxDepth: 100,
  maxElements: 100_000,
  maxAspect: 200,
  maxEmbeddedPixels: 4_000_000,
}

/** Why a document is refused; never leaves this module. */
class Refusal extends Error {}

const refuse = (reason: string): never => {
  throw new Refusal(reason)
}

/** Elements that run programs, or hold content that is not SVG. */
const refusedElements = new Set([
  'script',
  'foreignobject',
  'iframe',
  'object',
  'embed',
  'audio',
  'video',
  'handler',
  'listener',
])

/** Most elements of one name: references to it count for each of them. */
const maxAlike = 100

/** A name without its namespace prefix. Prefixes need not be declared: some editors forget theirs. */
const localName = (name: string): string => name.slice(name.indexOf(':') + 1)

/** The pixels of an embedded picture by its header, or undefined when it is none. */
function pixelCount(bytes: Uint8Array): number | undefined {
  try {
    const { width, height, type } = imageSize(bytes)
    return ['png', 'jpg', 'gif', 'webp'].includes(type ?? '') && width > 0 && height > 0 ? width * height : undefined
  } catch {
    return undefined
  }
}

/** What CSS writes as `\75 rl` is `url` all the same. */
const withoutCssEscapes = (css: string): string =>
  css
    // A comment that is never closed reaches to the end, which also keeps this linear.
    .replace(/\/\*[\s\S]*?(?:\*\/|$)/g, '')
    .replace(/\\([0-9a-f]{1,6})\s?/gi, (_, code: string) => {
      const point = Number.parseInt(code, 16)
      return point <= 0x10ffff ? String.fromCodePoint(point) : ''
    })
    .replaceAll('\\', '')

/** Targets of `url(…)` in a value: names of elements in the same document, or the document is refused. */
function urlReferences(plain: string): string[] {
  const targets: string[] = []
  for (const [, address] of plain.matchAll(/url\(\s*["']?([^"')]*)/gi)) {
    const target = address.trim()
    if (!target.startsWith('#')) refuse(`it refers to something outside itself (${shorten(target)})`)
    targets.push(target.slice(1))
  }
  return targets
}

/** What a style sheet, or a style attribute, refers to. */
function styleReferences(css: string): string[] {
  const plain = withoutCssEscapes(css)
  if (/@import|@font-face|@namespace|(?:image|image-set|src|expression)\s*\(/i.test(plain))
    refuse('its style sheet asks for other files')
  return urlReferences(plain)
}

/** What an attribute refers to, given its name with its prefix. */
function attributeReferences(name: string, value: string): string[] {
  if (name === 'style') return styleReferences(value)
  // Notes of editors and texts for people are not read when a document is drawn.
  if (name.includes(':') || /^(aria|data)-|^(id|class|title|role)$/.test(name)) return []
  return /url|\\/i.test(value) ? urlReferences(withoutCssEscapes(value)) : []
}

const shorten = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text)

/** Checks a picture embedded as `data:image/png;base64,…` by its header. */
function checkEmbedded(address: string, limits: Required<SvgLimits>): void {
  const match = /^data:image\/(?:png|jpe?g|gif|webp);base64,([\sa-z0-9+/=]*)$/i.exec(address)
  if (!match) refuse(`it embeds data other than a PNG, JPEG, GIF or WebP picture (${shorten(address)})`)
  const pixels = pixelCount(Buffer.from(match![1], 'base64'))
  if (pixels === undefined) refuse('it embeds a picture that cannot be read')
  if (pixels! > limits.maxEmbeddedPixels)
    refuse(`it embeds a picture of ${pixels} pixels; at most ${limits.maxEmbeddedPixels} are allowed`)
}

/** One length of the root element as a number, or undefined where it has none of its own (absent, percent). */
function lengthOf(text: string | undefined): number | undefined {
  if (text === undefined || text.trim().endsWith('%')) return undefined
  const value = Number.parseFloat(text)
  return Number.isNaN(value) ? undefined : value
}

function checkSize(attributes: ReadonlyMap<string, string>, limits: Required<SvgLimits>): void {
  const box = attributes
    .get('viewBox')
    ?.trim()
    .split(/[\s,]+/)
    .map(Number)
  const sides = [
    [lengthOf(attributes.get('width')), lengthOf(attributes.get('height'))],
    [box?.[2], box?.[3]],
  ]
  for (const [width, height] of sides) {
    for (const side of [width, height])
      if (side !== undefined && !(side > 0 && side <= 1e6)) refuse(`its size ${width} x ${height} cannot be drawn`)
    if (width === undefined || height === undefined) continue
    if (Math.max(width / height, height / width) > limits.maxAspect)
      refuse(`its sides ${width} x ${height} differ by more than ${limits.maxAspect} to 1`)
  }
}

/** Walks one document, refusing what must not be drawn and noting who refers to whom. */
class Inspector {
  readonly outline: Outline = { children: [], references: [], identifiers: new Map(), everywhere: [] }
  readonly #limits: Required<SvgLimits>
  readonly #open: number[] = []
  #styleText: string | undefined

  constructor(limits: Required<SvgLimits>) {
    this.#limits = limits
  }

  open(tag: SaxesTagPlain): void {
    const index = this.outline.children.length
    const local = localName(tag.name).toLowerCase()
    if (index === 0 && local !== 'svg') refuse('it is not an SVG document')
    if (refusedElements.has(local)) refuse(`it holds a <${tag.name}> element`)
    if (this.#open.length >= this.#limits.maxDepth) refuse(`it nests elements deeper than ${this.#limits.maxDepth}`)
    if (index >= this.#limits.maxElements) refuse(`it has more than ${this.#limits.maxElements} elements`)
    this.outline.children.push([])
    this.outline.references.push([])
    const parent = this.#open.at(-1)
    if (parent !== undefined) this.outline.children[parent].push(index)
    this.#open.push(index)
    if (local === 'style') this.#styleText = ''
    this.#attributes(tag, index)
  }

  #attributes(tag: SaxesTagPlain, index: number): void {
    const plain = new Map<string, string>()
    for (const [full, value] of Object.entries(tag.attributes)) {
      const name = localName(full).toLowerCase()
      plain.set(full, value)
      if (/^on[a-z]/.test(name)) refuse(`it holds a script (attribute ${full})`)
      if (name === 'id') this.#identify(value, index)
      if (full.startsWith('xmlns')) continue
      if (name === 'attributename' && /href|src|^on/i.test(value)) refuse(`it animates ${shorten(value)}`)
      if (name === 'href' || name === 'src') this.#href(value, index, localName(tag.name).toLowerCase())
      else if (name === 'base') refuse('it sets a base address')
      else this.outline.references[index].push(...attributeReferences(full.toLowerCase(), value))
    }
    if (index === 0) checkSize(plain, this.#limits)
  }

  #identify(name: string, index: number): void {
    const alike = this.outline.identifiers.get(name)
    if (!alike) this.outline.identifiers.set(name, [index])
    else if (alike.push(index) > maxAlike) refuse(`it names more than ${maxAlike} elements '${shorten(name)}'`)
  }

  #href(value: string, index: number, element: string): void {
    const address = value.trim()
    if (/^\s*javascript:/i.test(address)) refuse('it holds a script (a javascript: address)')
    // A link is only followed by a person who clicks it.
    if (address === '' || element === 'a') return
    if (address.startsWith('#')) this.outline.references[index].push(address.slice(1))
    else if (/^data:/i.test(address)) checkEmbedded(address, this.#limits)
    else refuse(`it refers to something outside itself (${shorten(address)})`)
  }

  text(text: string): void {
    if (this.#styleText !== undefined) this.#styleText += text
  }

  close(tag: SaxesTagPlain): void {
    this.#open.pop()
    if (localName(tag.name).toLowerCase() !== 'style' || this.#styleText === undefined) return
    this.outline.everywhere.push(...styleReferences(this.#styleText))
    this.#styleText = undefined
  }
}

function inspect(svg: string, limits: Required<SvgLimits>): void {
  if (svg.length > limits.maxLength) refuse(`it has ${svg.length} characters; at most ${limits.maxLength} are allowed`)
  const inspector = new Inspector(limits)
  const parser = new SaxesParser<{ xmlns: false; position: false }>({ xmlns: false, position: false })
  parser.on('error', error => refuse(`it is not well-formed XML (${error.message})`))
  parser.on('doctype', text => {
    if (/\[|<!ENTITY/i.test(text)) refuse('it declares entities')
  })
  parser.on('processinginstruction', ({ target }) => {
    if (/stylesheet/i.test(target)) refuse('it asks for a style sheet outside itself')
  })
  parser.on('opentag', tag => inspector.open(tag))
  parser.on('closetag', tag => inspector.close(tag))
  parser.on('text', text => inspector.text(text))
  parser.on('cdata', text => inspector.text(text))
  parser.write(svg).close()
  if (inspector.outline.children.length === 0) refuse('it is not an SVG document')
  const drawn = drawnElements(inspector.outline)
  if (drawn === undefined) refuse('it refers to itself in a circle')
  if (drawn! > limits.maxElements)
    refuse(`it draws more than ${limits.maxElements} elements, counting those that it repeats`)
}

/**
 * Says whether an SVG document from anywhere can be drawn safely: no scripts, no addresses outside the document, no
 * entities, no circles, and a bounded amount of work. `SvgRasterizer` checks by itself, in its threads.
 *
 * @param svg the document
 * @returns one clause that says why it is refused (`it holds a <script> element`), or undefined when it is fine
 */
export function checkSvg(svg: string, limits: SvgLimits = {}): string | undefined {
  try {
    inspect(svg, { ...defaults, ...limits })
    return undefined
  } catch (error) {
    if (error instanceof Refusal) return error.message
    throw error
  }
}
