import { onnxType } from '../onnx/types.ts'
import type { Lowering, OnnxSubgraph, Primitive } from '../primitive.ts'
import { formatShape, type Shape, sizeOf } from '../shape.ts'
import { apply, placeholder, type Tensor, tensor } from '../tensor.ts'
import { reshape } from './layout.ts'

/*
 * A counter-based generator: the number at place c is a keyed permutation of the 32-bit word c, so every number is
 * computed from nothing but the key and its place, on any device and in any order (Salmon et al. 2011, "Parallel random
 * numbers: as easy as 1, 2, 3").
 *
 *   draw(c) = P3(P2(P1(c ^ w0) ^ w1)),   P1..P3 the three rounds x ^= x >> s; x *= m (odd)
 *
 * The rounds and their constants are `triple32` of C. Wellons' hash-prospector (2018), found by search for least
 * avalanche bias, of the family of MurmurHash3's finaliser; exclusive-or with key words between fixed permutations is the
 * construction of Even & Mansour (1997). The words w0 and w1 are themselves `triple32` of the mixed halves of the key, so
 * that keys which differ in one bit, like those of neighbouring steps, share nothing.
 */
const SHIFTS = [17, 11, 15, 14] as const
const FACTORS = [0xed5ad4bb, 0xac4c1b51, 0x31848bab] as const
/** Mixes the halves (k0, k1) invertibly: an odd and an even factor make the determinant f0 f1 - 1 odd. */
const MIXERS = [0x9e3779b1, 0x85ebca6a] as const

/** What a key is used for: words of one use are unrelated to those of another. */
export const DRAW = 0x3c6ef372
export const FOLD = 0x1b873593
export const SPLIT = 0x52dce728

/** Programs hold 32-bit words as i32; shifts and products are written for u32, whose shifts are logical. */
const UINT32 = 12

class Words {
  constructor(readonly to: Lowering) {}

  /** A u32 value holding a constant. */
  word(...values: number[]): string {
    const data = Int32Array.from(values, value => value | 0)
    return this.unsigned(this.to.constant(data, values.length === 1 ? [] : [values.length], 'i32'))
  }
  unsigned(x: string): string {
    return this.to.emit('Cast', [x], { to: { int: UINT32 } })
  }
  signed(x: string): string {
    return this.to.emit('Cast', [x], { to: { int: onnxType('i32') } })
  }
  xor(a: string, b: string): string {
    return this.to.emit('BitwiseXor', [a, b])
  }
  shift(x: string, bits: number): string {
    return this.to.emit('BitShift', [x, this.word(bits)], { direction: { string: 'RIGHT' } })
  }
  /** The rounds of `triple32`, with `key` entering after the first. */
  mix(x: string, key?: string): string {
    let state = x
    SHIFTS.forEach((bits, round) => {
      if (round === 1 && key) state = this.xor(state, key)
      state = this.xor(state, this.shift(state, bits))
      if (round < FACTORS.length) state = this.to.emit('Mul', [state, this.word(FACTORS[round])])
    })
    return state
  }
}

function mix(x: number, key = 0): number {
  let state = x
  SHIFTS.forEach((bits, round) => {
    if (round === 1) state ^= key
    state ^= state >>> bits
    if (round < FACTORS.length) state = Math.imul(state, FACTORS[round])
  })
  return state
}

function requireKey(op: string, key: { readonly shape: Shape; readonly dtype: string }): void {
  if (key.dtype !== 'i32' || key.shape.length !== 1 || key.shape[0] !== 2)
    throw new Error(`${op}: a random key is i32[2] (see key(seed)), got ${key.dtype}${formatShape(key.shape)}`)
}

/** The two words that a key gives for one use: lane i is triple32(f_i k_i + k_{1-i} + use_i). */
const wordsPrimitive: Primitive<{ readonly use: number }> = {
  name: 'randomWords',
  opset: 18,
  shape: ([key]) => {
    requireKey('random', key)
    return { shape: [2], dtype: 'i32' }
  },
  lower: (to, [key], node) => {
    const words = new Words(to)
    const halves = words.unsigned(key)
    const swapped = to.emit('Gather', [halves, to.ints([1, 0])])
    const scaled = to.emit('Mul', [halves, words.word(...MIXERS)])
    const { use } = node.attributes
    const mixed = to.emit('Add', [to.emit('Add', [scaled, swapped]), words.word(use, ~use)])
    return words.signed(words.mix(mixed))
  },
  evaluate: ([{ data }], { use }) =>
    Float64Array.from([use, ~use], (offset, i) => mix((Math.imul(data[i], MIXERS[i]) + data[1 - i] + offset) | 0)),
}

/** The two words of `key` for one use. */
export const keyWords = (key: Tensor, use: number): Tensor => apply(wordsPrimitive, [key], { use })

/** The key that belongs to `data`: each lane is the draw at place `data` under the words in one order and the other. */
const deriveKeyPrimitive: Primitive = {
  name: 'deriveKey',
  opset: 18,
  shape: () => ({ shape: [2], dtype: 'i32' }),
  lower: (to, [key, data]) => {
    const words = new Words(to)
    const lanes = words.unsigned(key)
    const swapped = to.emit('Gather', [lanes, to.ints([1, 0])])
    return words.signed(words.mix(words.xor(lanes, words.unsigned(data)), swapped))
  },
  evaluate: ([words, data]) =>
    Float64Array.from(words.data, (word, lane) => mix(word ^ data.data[0], words.data[1 - lane])),
}

/** @param words of the key to derive from @param data i32 scalar */
export const deriveKey = (words: Tensor, data: Tensor): Tensor => apply(deriveKeyPrimitive, [words, data], {})

/** What a draw is turned into: the bits (i32), a multiple of 2^-24 in [0, 1) (f32), or whether they are below a bound (bool). */
type DrawKind = 'bits' | 'unit' | 'below'

interface DrawAttributes {
  readonly count: number
  readonly kind: DrawKind
  /** Bound of `below`, a whole number under 2^32. */
  readonly bound: number
}

/**
 * Draws beyond this are made in pieces inside a loop, so that the fifteen passes of the hash stay in the cache. Measured
 * for 10 million draws on two threads: 58 ms in one piece, 37 ms in pieces of 20,000 to 80,000 (too small to be shared
 * between threads), 19 ms in pieces of 200,000.
 */
const PIECE = 200_000

/** `count` draws from place `start` on. Inputs: words [2], start (i32 scalar). */
const drawPrimitive: Primitive<DrawAttributes> = {
  name: 'randomDraw',
  opset: 18,
  shape: (_, { count, kind }) => ({
    shape: [count],
    dtype: kind === 'bits' ? 'i32' : kind === 'unit' ? 'f32' : 'bool',
  }),
  lower: (to, [words, start], node) =>
    node.attributes.count > 2 * PIECE
      ? lowerInPieces(to, words, start, node.attributes)
      : lowerDraw(to, words, start, node.attributes),
  evaluate: ([words, start], { count, kind, bound }) => {
    const [w0, w1] = words.data
    return Float64Array.from({ length: count }, (_, i) => {
      const bits = mix((start.data[0] + i) ^ w0, w1)
      return kind === 'bits' ? bits : kind === 'unit' ? (bits >>> 8) * 2 ** -24 : Number(bits >>> 0 < bound)
    })
  },
}

const ranges = new Map<number, Int32Array>()

/** 0 .. count-1, one array for each count so that a program holds it once. */
function places(count: number): Int32Array {
  let data = ranges.get(count)
  if (!data) {
    data = Int32Array.from({ length: count }, (_, i) => i)
    ranges.set(count, data)
  }
  return data
}

function lowerDraw(to: Lowering, key: string, start: string, { count, kind, bound }: DrawAttributes): string {
  const words = new Words(to)
  const lanes = words.unsigned(key)
  const lane = (i: number): string => to.emit('Gather', [lanes, to.constant(new BigInt64Array([BigInt(i)]), [], 'i64')])
  const counters = to.emit('Add', [words.unsigned(to.constant(places(count), [count], 'i32')), words.unsigned(start)])
  const bits = words.mix(words.xor(counters, lane(0)), lane(1))
  if (kind === 'bits') return words.signed(bits)
  if (kind === 'below') return to.emit('Less', [bits, words.word(bound)])
  const high = to.emit('Cast', [words.shift(bits, 8)], { to: { int: onnxType('f32') } })
  return to.emit('Mul', [high, to.scalar(2 ** -24, 'f32')])
}

/** The largest piece that divides `count`, at most {@link PIECE}; undefined when only small ones do. */
function evenPiece(count: number): number | undefined {
  for (let pieces = Math.ceil(count / PIECE); count / pieces >= PIECE / 4; pieces++)
    if (count % pieces === 0) return count / pieces
  return undefined
}

function lowerInPieces(to: Lowering, words: string, start: string, attributes: DrawAttributes): string {
  const { count } = attributes
  const piece = evenPiece(count) ?? PIECE
  const pieces = Math.floor(count / piece)
  const first = placeholder('start', [], 'i32')
  const key = placeholder('words', [2], 'i32')
  const body: OnnxSubgraph = {
    inputs: [first],
    outputs: [apply(drawPrimitive, [key, first], { ...attributes, count: piece })],
    captures: [[key, words]],
  }
  const offsets = to.constant(
    places(pieces).map(i => i * piece),
    [pieces],
    'i32',
  )
  const starts = to.emit('Add', [offsets, start])
  const [drawn] = to.emitMany('Scan', [starts], 1, { body: { graph: body }, num_scan_inputs: { int: 1 } })
  const flat = to.emit('Reshape', [drawn, to.ints([pieces * piece])])
  const rest = count - pieces * piece
  if (rest === 0) return flat
  const restStart = to.emit('Add', [start, to.scalar(pieces * piece, 'i32')])
  const tail = lowerDraw(to, words, restStart, { ...attributes, count: rest })
  return to.emit('Concat', [flat, tail], { axis: { int: 0 } })
}

/**
 * `sizeOf(shape)` draws from the places 0, 1, … of a key.
 * @throws when the shape is symbolic or holds more than 2^31 numbers
 */
export function draw(key: Tensor, shape: Shape, kind: DrawKind, bound = 0): Tensor {
  const count = sizeOf(shape)
  if (shape.some(dim => dim < 0) || count >= 2 ** 31)
    throw new Error(`random: a draw needs concrete sizes and fewer than 2^31 numbers, got ${formatShape(shape)}`)
  const drawn = apply(drawPrimitive, [keyWords(key, DRAW), tensor(0, [], 'i32')], { count, kind, bound })
  return reshape(drawn, shape)
}
