import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import opentype, { type Font, type Path } from 'opentype.js'
import { measureNormalisation } from '../channel-statistics.ts'
import { arrayDataset, subset } from '../dataset.ts'
import { packageFolder, readJson } from '../icons/sets.ts'
import { type Drawing, draw, hashShare, type PictureParts } from '../sprites/index.ts'

/** A character of a font in one of its weights. */
export interface Glyph {
  readonly character: string
  /** Its package's name, such as `lora`. */
  readonly font: string
  /** 100 .. 900 */
  readonly weight: number
  readonly style: 'normal' | 'italic'
}

/** Fonts that the demonstration installs: serif, sans, slab, monospaced and handwritten ones. */
export const glyphFonts = [
  'bitter',
  'caveat',
  'comic-neue',
  'courier-prime',
  'dancing-script',
  'josefin-sans',
  'lora',
  'oswald',
  'space-mono',
  'zilla-slab',
] as const

/** Fonts that are only tested with, by default. */
export const heldOutFonts = ['comic-neue', 'lora', 'space-mono'] as const

export const alphanumerics = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

export interface GlyphOptions {
  /** Side in pixels. Default 32 */
  readonly size?: number
  /** Default {@link alphanumerics} */
  readonly characters?: string
  /** Names of `@fontsource` packages. Default {@link glyphFonts} */
  readonly fonts?: readonly string[]
  /** Default {@link heldOutFonts}, those of them that are among the fonts */
  readonly heldOut?: readonly string[]
  /** What a picture is labelled with. Default `character` */
  readonly label?: 'character' | 'font' | 'weight'
  readonly cache?: string
}

export interface Glyphs extends PictureParts {
  /** What each row of the pixels is. */
  readonly items: readonly Glyph[]
}

interface FontFile {
  readonly font: string
  readonly weight: number
  readonly style: Glyph['style']
  readonly path: string
}

/** The Latin files of a font; weights and styles as its package names them. */
function fontFiles(font: string): { files: FontFile[]; version: string } {
  const folder = packageFolder(`@fontsource/${font}`)
  if (!folder) throw new Error(`the font '${font}' is not installed; install it with: npm install @fontsource/${font}`)
  const { version } = readJson<{ version: string }>(join(folder, 'package.json'))
  const files = readdirSync(join(folder, 'files'))
    .sort()
    .flatMap(name => {
      // Beside WOFF there is WOFF2 of the same outlines, which needs a decompressor of its own.
      const match = name.match(/-latin-(\d+)-(normal|italic)\.woff$/)
      if (!match) return []
      const style = match[2] as Glyph['style']
      return [{ font, weight: Number(match[1]), style, path: join(folder, 'files', name) }]
    })
  return { files, version }
}

/** Room around a character, in shares of the picture's side. */
const margin = 0.1

/** A character as a document: every font's ascenders and descenders in the same band, the glyph centred sideways. */
function documentOf(font: Font, character: string): string | undefined {
  const glyph = font.charToGlyph(character)
  if (!glyph || glyph.index === 0) return undefined
  const band = font.ascender - font.descender
  const em = (100 * (1 - 2 * margin) * font.unitsPerEm) / band
  const baseline = 100 * margin + (font.ascender * em) / font.unitsPerEm
  const box = glyph.getPath(0, 0, em).getBoundingBox()
  const path = glyph.getPath(50 - (box.x1 + box.x2) / 2, baseline, em)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path d="${pathData(path.commands)}"/></svg>`
}

/** Written out here: the path data that opentype.js 2.0.0 writes itself is damaged for some fonts (Caveat, Bitter). */
function pathData(commands: Path['commands']): string {
  const words = (...values: number[]): string => values.map(value => value.toFixed(3)).join(' ')
  return commands
    .map(command => {
      switch (command.type) {
        case 'M':
        case 'L':
          return `${command.type} ${words(command.x, command.y)}`
        case 'Q':
          return `Q ${words(command.x1, command.y1, command.x, command.y)}`
        case 'C':
          return `C ${words(command.x1, command.y1, command.x2, command.y2, command.x, command.y)}`
        default:
          return 'Z'
      }
    })
    .join(' ')
}

function* glyphDrawings(files: readonly FontFile[], characters: readonly string[]): Generator<Drawing<Glyph>> {
  for (const { font, weight, style, path } of files) {
    const bytes = readFileSync(path)
    const parsed = opentype.parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
    for (const character of characters) {
      const svg = documentOf(parsed, character)
      if (svg) yield { item: { character, font, weight, style }, svg }
    }
  }
}

/**
 * Characters of installed fonts (`@fontsource/*`), black on white, grey. The test part is of fonts that are never trained
 * on; of the others one picture in ten chooses settings.
 *
 * @throws Error naming a font that is not installed
 */
export async function openGlyphs(options: GlyphOptions = {}): Promise<Glyphs> {
  const { size = 32, characters = alphanumerics, fonts = glyphFonts, label = 'character', cache } = options
  const heldOut = new Set(options.heldOut ?? heldOutFonts)
  const found = fonts.map(fontFiles)
  const wanted = [...new Set(characters)]
  const key = JSON.stringify({ fonts: fonts.map((font, i) => `${font}@${found[i].version}`), wanted })
  const drawn = await draw(
    () =>
      glyphDrawings(
        found.flatMap(({ files }) => files),
        wanted,
      ),
    {
      size,
      key: `glyphs ${key}`,
      cache,
    },
  )
  const labelOf = (glyph: Glyph): string => String(glyph[label])
  const classes = [...new Set(drawn.items.map(labelOf))].sort()
  const position = new Map(classes.map((name, i) => [name, i]))
  const values = new Uint8Array(new SharedArrayBuffer(drawn.alpha.length))
  for (let at = 0; at < values.length; at++) values[at] = 255 - drawn.alpha[at]
  const nameOf = ({ font, weight, style, character }: Glyph): string => `${font} ${weight} ${style} ${character}`
  const all = arrayDataset({
    name: 'glyphs',
    classes,
    shape: [1, size, size],
    values,
    labels: Int32Array.from(drawn.items, glyph => position.get(labelOf(glyph))!),
    names: drawn.items.map(nameOf),
  })
  const parts = drawn.items.map(glyph =>
    // A font to be told from others must be among those trained on.
    label === 'font'
      ? splitByShare(nameOf(glyph))
      : heldOut.has(glyph.font)
        ? 'test'
        : hashShare(`tenet glyphs ${nameOf(glyph)}`) < 0.1
          ? 'validation'
          : 'train',
  )
  const rows = (part: string): number[] => parts.flatMap((one, i) => (one === part ? [i] : []))
  const train = subset(all, rows('train'), 'glyphs train')
  return {
    name: 'glyphs',
    classes,
    train,
    validation: subset(all, rows('validation'), 'glyphs validation'),
    test: subset(all, rows('test'), 'glyphs test'),
    normalisation: await measureNormalisation(train),
    items: drawn.items,
  }
}

function splitByShare(name: string): 'train' | 'validation' | 'test' {
  const share = hashShare(`tenet glyphs ${name}`)
  return share < 0.2 ? 'test' : share < 0.3 ? 'validation' : 'train'
}
