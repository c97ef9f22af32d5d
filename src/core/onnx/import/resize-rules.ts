/** How ONNX's Resize maps a position of the new axis to the old one. */
export const coordinateModes = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
  'tf_half_pixel_for_nn',
  'tf_crop_and_resize',
] as const
export type CoordinateMode = (typeof coordinateModes)[number]

export const roundings = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const
export type Rounding = (typeof roundings)[number]

export interface ResizeRule {
  readonly kind: 'nearest' | 'linear' | 'cubic'
  readonly coordinates: CoordinateMode
  /** The first Resize rounds down when growing and up when shrinking. */
  readonly rounding: Rounding | 'by_direction'
  /** Cubic coefficient. */
  readonly a: number
  /** Weights that fall outside are dropped and the others scaled up, instead of reading the border. */
  readonly excludeOutside: boolean
  /** When shrinking, the kernel is stretched so that every old element counts. */
  readonly antialias: boolean
}

/** One axis being resized. */
export interface ResizedAxis {
  readonly from: number
  readonly to: number
  /** New size over old one, as given or worked out. */
  readonly scale: number
  /** Part of the axis that is cut out, as fractions of from-1 (tf_crop_and_resize). */
  readonly crop: readonly [number, number]
}

/** Position on the old axis of new element i, in float32 as runtimes compute it: what is rounded must be rounded alike. */
export function sourceOf(i: number, { from, to, scale, crop }: ResizedAxis, mode: CoordinateMode): number {
  const step = Math.fround(scale)
  const single = Math.fround
  switch (mode) {
    case 'half_pixel':
      return single(single((i + 0.5) / step) - 0.5)
    case 'half_pixel_symmetric': {
      const offset = (from / 2) * (1 - to / single(step * from))
      return single(offset + single((i + 0.5) / step) - 0.5)
    }
    case 'pytorch_half_pixel':
      return to > 1 ? single(single((i + 0.5) / step) - 0.5) : 0
    case 'align_corners': {
      // With a scale the new axis has from * scale elements, a part of one included: so ONNX's own tests have it.
      const whole = from * scale
      return to > 1 && whole !== 1 ? single((i * (from - 1)) / (whole - 1)) : 0
    }
    case 'asymmetric':
      return single(i / step)
    case 'tf_half_pixel_for_nn':
      return single((i + 0.5) / step)
    case 'tf_crop_and_resize': {
      const [start, end] = crop
      return to > 1
        ? single(start * (from - 1) + (i * (end - start) * (from - 1)) / (to - 1))
        : 0.5 * (start + end) * (from - 1)
    }
  }
}

function roundSource(source: number, rounding: Rounding): number {
  switch (rounding) {
    case 'round_prefer_floor':
      return Math.ceil(source - 0.5)
    case 'round_prefer_ceil':
      return Math.floor(source + 0.5)
    case 'floor':
      return Math.floor(source)
    case 'ceil':
      return Math.ceil(source)
  }
}

/** The old element that each new one copies. */
export function nearestSources(axis: ResizedAxis, { coordinates, rounding }: ResizeRule): number[] {
  const settled = rounding === 'by_direction' ? (axis.scale < 1 ? 'ceil' : 'floor') : rounding
  return Array.from({ length: axis.to }, (_, i) => {
    const place = roundSource(sourceOf(i, axis, coordinates), settled)
    return Math.min(Math.max(place, 0), axis.from - 1)
  })
}

const triangle = (distance: number): number => Math.max(0, 1 - Math.abs(distance))

/** Keys' kernel (Keys 1981). */
function cubic(distance: number, a: number): number {
  const t = Math.abs(distance)
  if (t >= 2) return 0
  return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
}

/** Weights of the old elements in new element i. */
export function rowOf(i: number, axis: ResizedAxis, rule: ResizeRule): Float32Array {
  const row = new Float32Array(axis.from)
  const source = sourceOf(i, axis, rule.coordinates)
  const stretch = rule.antialias ? Math.max(1, 1 / axis.scale) : 1
  const reach = (rule.kind === 'cubic' ? 2 : 1) * stretch
  let total = 0
  for (let place = Math.ceil(source - reach); place <= Math.floor(source + reach); place++) {
    const distance = (place - source) / stretch
    const weight = rule.kind === 'cubic' ? cubic(distance, rule.a) : triangle(distance)
    const inside = place >= 0 && place < axis.from
    if (rule.excludeOutside && !inside) continue
    row[Math.min(Math.max(place, 0), axis.from - 1)] += weight
    total += weight
  }
  // A stretched kernel, or one that was cut, does not sum to 1 of itself.
  return total !== 0 ? row.map(weight => weight / total) : row
}

/** Whether new element i lies outside the old axis, where a cut-out image has no content. */
export const liesOutside = (i: number, axis: ResizedAxis): boolean => {
  const source = sourceOf(i, axis, 'tf_crop_and_resize')
  return source < 0 || source > axis.from - 1
}
