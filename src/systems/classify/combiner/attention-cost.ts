import { multiplyAdds, placeholder } from '../../../core/index.ts'
import type { Pattern } from './combiner-attention.ts'
import { axialAttention, fixedAttention, localAttention, logsparseAttention, mixtureAttention } from './patterns.ts'

/** What attention over a sequence costs, projections left out. */
export interface AttentionCost {
  readonly pattern: Pattern | 'dense'
  /** Positions of a segment; undefined where there is none. */
  readonly segment?: number
  /** Entries in a position's softmax. */
  readonly logitsPerToken: number
  /** Of one head over the whole sequence. */
  readonly multiplyAdds: number
}

/** Entries in a position's softmax. */
export function logitsPerToken(pattern: Pattern | 'dense', length: number, segment: number): number {
  const rows = length / segment
  switch (pattern) {
    case 'dense':
      return length
    case 'local':
      return segment
    case 'fixed':
      return rows === 1 ? segment : segment + rows
    case 'axial':
      return segment + rows
    case 'mixture':
      return 2 * segment + 3 * rows
    case 'logsparse':
      return 1 + Math.log2(length)
  }
}

/** The divisor of a length that is next to its square root, at which segments and rows cost least together. */
export function balancedSegment(length: number): number {
  for (let segment = Math.round(Math.sqrt(length)); segment > 1; segment--) if (length % segment === 0) return segment
  return 1
}

/**
 * A table of what each pattern costs at some length; `logsparse` only where that is a power of two.
 * @param options.segment default {@link balancedSegment}
 * @param options.headDim default 64
 * @throws when the segment does not divide the length
 */
export function attentionCost(
  length: number,
  { segment = balancedSegment(length), headDim = 64 }: { readonly segment?: number; readonly headDim?: number } = {},
): AttentionCost[] {
  if (length % segment !== 0) throw new Error(`combiner: ${length} positions do not divide into segments of ${segment}`)
  const each = placeholder('projection', [1, 1, length, headDim])
  const given = { query: each, key: each, value: each }
  const options = { causal: true }
  const outputs = {
    local: () => localAttention(given, segment, options),
    fixed: () => fixedAttention(given, segment, options),
    axial: () => axialAttention(given, segment, { ...options, rowKey: t => t }),
    mixture: () => mixtureAttention(given, segment),
  }
  const rows = Object.entries(outputs).map(([name, output]): AttentionCost => {
    const pattern = name as keyof typeof outputs
    return {
      pattern,
      segment,
      logitsPerToken: logitsPerToken(pattern, length, segment),
      multiplyAdds: multiplyAdds([output()]),
    }
  })
  if (Number.isInteger(Math.log2(length)))
    rows.push({
      pattern: 'logsparse',
      logitsPerToken: logitsPerToken('logsparse', length, segment),
      multiplyAdds: multiplyAdds([logsparseAttention(given)]),
    })
  return [...rows, { pattern: 'dense', logitsPerToken: length, multiplyAdds: 2 * headDim * length ** 2 }]
}
