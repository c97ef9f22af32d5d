export { checkSvg, type SvgLimits } from './check-svg.ts'
export { type Rasterised, type RasterizerOptions, SvgRasterizer } from './rasterizer.ts'
