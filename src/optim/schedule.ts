import { asTensor, cos, exp, minimum, type Tensor, where } from '../core/index.ts'

/** Learning rate from the number of steps done so far (f32 scalar, 0 at the first step), as part of the compiled step. */
export type Schedule = (done: Tensor) => Tensor

/** The same rate always. */
export const constantRate =
  (base: number): Schedule =>
  () =>
    asTensor(base)

const floored = (done: Tensor, every: number): Tensor => done.div(every).add(1e-6).floor()
const power = (base: number, exponent: Tensor): Tensor => exp(exponent.mul(Math.log(base)))

export interface CosineOptions {
  /** Peak rate. */
  readonly base: number
  /** Steps in all, warm-up included. */
  readonly total: number
  /** Steps of linear growth before the peak; default 0. */
  readonly warmup?: number
  /** Rate at the end; default 0. */
  readonly min?: number
  /** Whether the first warm-up step has rate 0 (`zero`: base t/warmup) or base/warmup (`one`: base (t+1)/warmup); default `one`. */
  readonly start?: 'zero' | 'one'
}

/** Linear warm-up, then half a cosine from `base` to `min`. Source: Loshchilov & Hutter 2017, with warm-up as in Goyal et al. 2017. */
export function cosine({ base, total, warmup = 0, min = 0, start = 'one' }: CosineOptions): Schedule {
  if (!(total > warmup)) throw new Error(`cosine: total (${total}) must be larger than warmup (${warmup})`)
  return done => {
    const progress = minimum(done.sub(warmup).div(total - warmup), 1)
    const decayed = cos(progress.mul(Math.PI))
      .add(1)
      .mul((base - min) / 2)
      .add(min)
    if (warmup === 0) return decayed
    const risen = done.add(start === 'one' ? 1 : 0).mul(base / warmup)
    return where(done.less(warmup), risen, decayed)
  }
}

/** base * gamma^floor(t/every) */
export const stepDecay =
  (base: number, every: number, gamma: number): Schedule =>
  done =>
    power(gamma, floored(done, every)).mul(base)

/** base * gamma^(number of milestones reached) */
export const multiStep =
  (base: number, milestones: readonly number[], gamma: number): Schedule =>
  done => {
    const reached = milestones
      .map(at => done.greaterOrEqual(at).cast('f32'))
      .reduce<Tensor>((a, b) => a.add(b), asTensor(0))
    return power(gamma, reached).mul(base)
  }

/** base * gamma^t */
export const exponential =
  (base: number, gamma: number): Schedule =>
  done =>
    power(gamma, done).mul(base)

/** base * (1 - t/total)^exponent, 0 from `total` on. */
export const polynomial =
  (base: number, total: number, exponent = 1): Schedule =>
  done =>
    minimum(done.div(total), 1).neg().add(1).pow(exponent).mul(base)

export interface OneCycleOptions {
  /** Highest rate. */
  readonly peak: number
  readonly total: number
  /** Share of the steps spent rising; default 0.3. */
  readonly rise?: number
  /** peak / first rate; default 25. */
  readonly divide?: number
  /** first rate / last rate; default 1e4. */
  readonly finalDivide?: number
}

/** A cosine up from peak/divide, a cosine down to peak/divide/finalDivide. Source: Smith & Topin 2018; PyTorch's OneCycleLR. */
export function oneCycle({ peak, total, rise = 0.3, divide = 25, finalDivide = 1e4 }: OneCycleOptions): Schedule {
  const first = peak / divide
  const last = first / finalDivide
  const turn = rise * total - 1
  const between = (from: number, to: number, progress: Tensor): Tensor =>
    cos(progress.mul(Math.PI))
      .add(1)
      .mul((from - to) / 2)
      .add(to)
  return done =>
    where(
      done.lessOrEqual(turn),
      between(first, peak, done.div(turn)),
      between(peak, last, minimum(done.sub(turn).div(total - 1 - turn), 1)),
    )
}
