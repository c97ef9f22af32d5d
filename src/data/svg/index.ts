export { checkSvg, type SvgLimits } from './check-svg.ts'
export { looksLikeSvg } from './looks-like-svg.ts'
export { type Rasterised, type RasterizerOptions, SvgRasterizer } from './rasterizer.ts'
