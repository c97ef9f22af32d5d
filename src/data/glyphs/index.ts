export {
  alphanumerics,
  type Glyph,
  type GlyphOptions,
  type Glyphs,
  glyphFonts,
  heldOutFonts,
  openGlyphs,
} from './glyphs.ts'
