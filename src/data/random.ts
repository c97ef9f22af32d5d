/**
 * Random numbers as a pure function of what they are for.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns a 64-bit key
 * and a 128-bit counter into 128 random bits. The key is the seed; the counter is (draw, index, epoch, purpose). So the
 * numbers for sample 17 of epoch 3 are the same whichever thread asks, in whatever order, before or after a restart.
 */

const multiplier0 = 0xd2511f53
const multiplier1 = 0xcd9e8d57
const weyl0 = 0x9e3779b9
const weyl1 = 0xbb67ae85
const rounds = 10
const two32 = 2 ** 32

/** What a stream of random numbers is for: streams of different purposes never share numbers. */
export const randomPurposes = {
  shuffle: 1,
  split: 2,
  resizedCrop: 3,
  crop: 4,
  flip: 5,
  affine: 6,
  erasing: 7,
  mix: 8,
  scene: 9,
  cueScene: 10,
  board: 11,
  texture: 12,
  sample: 13,
} as const

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + Math.floor((aLow * bLow) / 65536)
  const middleLow = (middle % 65536) + aLow * bHigh
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(middleLow / 65536)) >>> 0
}

/**
 * One block of Philox4x32-10.
 *
 * @param counter four unsigned 32-bit words
 * @param key two unsigned 32-bit words
 * @param out receives four unsigned 32-bit words
 */
export function philox4x32(counter: Uint32Array, key: Uint32Array, out: Uint32Array): void {
  let [c0, c1, c2, c3] = [counter[0], counter[1], counter[2], counter[3]]
  let k0 = key[0]
  let k1 = key[1]
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0)
    const low0 = Math.imul(multiplier0, c0) >>> 0
    const high1 = multiplyHigh(multiplier1, c2)
    const low1 = Math.imul(multiplier1, c2) >>> 0
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + weyl0) >>> 0
    k1 = (k1 + weyl1) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/**
 * A stream of random numbers that is a pure function of (seed, purpose, epoch, index).
 *
 * @param seed integer with |seed| <= 2^53 - 1
 * @param purpose one of `randomPurposes`, or any other unsigned 32-bit integer
 * @param epoch unsigned 32-bit integer, default 0
 * @param index unsigned 32-bit integer (a sample, a batch), default 0
 * @throws RangeError if the seed is not a safe integer
 */
export class RandomStream {
  private readonly key: Uint32Array
  private readonly counter: Uint32Array
  private readonly block = new Uint32Array(4)
  private used = 4

  constructor(seed: number, purpose: number, epoch = 0, index = 0) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed: expected an integer up to 2^53 - 1, got ${seed}.`)
    this.key = Uint32Array.of(seed >>> 0, Math.floor(seed / two32) >>> 0)
    this.counter = Uint32Array.of(0, index, epoch, purpose)
  }

  /** Uniform on the integers 0 .. 2^32 - 1. */
  uint32(): number {
    if (this.used === 4) {
      philox4x32(this.counter, this.key, this.block)
      this.counter[0]++
      this.used = 0
    }
    return this.block[this.used++]
  }

  /** Uniform on [low, high), in steps of (high - low) / 2^32. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.uint32() / two32)
  }

  /** Uniform on the integers 0 .. bound - 1, without the bias of a plain remainder. `bound` is 1 .. 2^32. */
  integer(bound: number): number {
    const unbiased = two32 - (two32 % bound)
    let drawn = this.uint32()
    while (drawn >= unbiased) drawn = this.uint32()
    return drawn % bound
  }

  /** Normal with mean 0 and variance 1 (Box and Muller 1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }

  /** Gamma with the given shape > 0 and scale 1 (Marsaglia and Tsang 2000; their section 6 for shapes below 1). */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * (1 - this.uniform()) ** (1 / shape)
    const d = shape - 1 / 3
    const c = 1 / Math.sqrt(9 * d)
    for (;;) {
      const x = this.normal()
      const v = (1 + c * x) ** 3
      if (v > 0 && Math.log(1 - this.uniform()) < x * x * 0.5 + d - d * v + d * Math.log(v)) return d * v
    }
  }

  /** Beta(a, b) on [0, 1], a ratio of gammas. With tiny a and b, whose gammas both underflow, one of the two ends. */
  beta(a: number, b: number): number {
    const x = this.gamma(a)
    const y = this.gamma(b)
    if (x + y > 0) return x / (x + y)
    return this.uniform() < a / (a + b) ? 1 : 0
  }

  /** Puts `values` in a uniformly random order, in place (Fisher and Yates), and returns it. */
  shuffle<Values extends Int32Array | unknown[]>(values: Values): Values {
    for (let last = values.length - 1; last > 0; last--) {
      const other = this.integer(last + 1)
      const moved = values[last]
      values[last] = values[other]
      values[other] = moved
    }
    return values
  }
}

/** The integers 0 .. length - 1 in an order that is a pure function of (seed, epoch). */
export function shuffledOrder(length: number, seed: number, epoch: number): Int32Array {
  const order = Int32Array.from({ length }, (_, index) => index)
  return new RandomStream(seed, randomPurposes.shuffle, epoch).shuffle(order)
}
