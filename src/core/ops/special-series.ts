/** Euler's constant. */
export const EULER_GAMMA = 0.5772156649015329

export const factorial = (n: number): number => (n <= 1 ? 1 : n * factorial(n - 1))

/** Bernoulli numbers B_2, B_4, …, B_20. */
const bernoulli = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330]

/**
 * Coefficients of the asymptotic series of the Hurwitz zeta function for s > 1 (DLMF 25.11.43):
 * zeta(s, y) ~ y^(1-s) (1/(s-1) + 1/(2y) + c_1/y^2 + c_2/y^4 + …), c_k = B_2k s (s+1) … (s+2k-2) / (2k)!.
 */
export function hurwitzSeries(s: number, terms: number): number[] {
  let rising = s
  return Array.from({ length: terms }, (_, i) => {
    const k = i + 1
    if (k > 1) rising *= (s + 2 * k - 3) * (s + 2 * k - 2)
    return (bernoulli[i] * rising) / factorial(2 * k)
  })
}

/** Coefficients of digamma(y) ~ log y - 1/(2y) + c_1/y^2 + c_2/y^4 + … (DLMF 5.11.2). */
export const digammaSeries = (terms: number): number[] =>
  Array.from({ length: terms }, (_, i) => -bernoulli[i] / (2 * (i + 1)))

/** Coefficients of lgamma(y) ~ (y-1/2) log y - y + log(2 pi)/2 + (c_1 + c_2/y^2 + …)/y (DLMF 5.11.1). */
export const stirlingSeries = (terms: number): number[] =>
  Array.from({ length: terms }, (_, i) => bernoulli[i] / ((2 * i + 2) * (2 * i + 1)))

/** zeta(k) - 1 by summation up to 20 and the asymptotic series of what remains. */
function zetaMinusOne(k: number): number {
  const y = 20
  let total = y ** (1 - k) / (k - 1) + 0.5 * y ** -k
  hurwitzSeries(k, 6).forEach((c, i) => {
    total += c * y ** (-k - 1 - 2 * i)
  })
  for (let n = y - 1; n >= 2; n--) total += n ** -k
  return total
}

/** Coefficients of lgamma(2+z) = (1-gamma) z + sum over k >= 2 of (-1)^k (zeta(k)-1) z^k / k, |z| < 2 (DLMF 5.7.3), divided by z. */
export const logGammaAboutTwo = (terms: number): number[] =>
  Array.from({ length: terms }, (_, i) =>
    i === 0 ? 1 - EULER_GAMMA : ((i % 2 ? 1 : -1) * zetaMinusOne(i + 1)) / (i + 1),
  )

/**
 * The n-th derivative of cot u as a polynomial in cot u, lowest power first: from d cot u / du = -(1 + cot^2 u).
 */
export function cotangentDerivative(n: number): number[] {
  let polynomial = [0, 1]
  for (let i = 0; i < n; i++) {
    const next = new Array<number>(polynomial.length + 1).fill(0)
    polynomial.forEach((c, power) => {
      if (power === 0) return
      next[power - 1] -= c * power
      next[power + 1] -= c * power
    })
    polynomial = next
  }
  return polynomial
}

const horner = (x: number, coefficients: readonly number[]): number =>
  coefficients.reduceRight((sum, c) => sum * x + c, 0)

/** Lanczos' approximation with g = 7 and nine terms (Godfrey 2001): fifteen digits of Gamma(x) for x >= 1/2. */
const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

function positiveLogGamma(x: number): number {
  const z = x - 1
  const t = z + 7.5
  const series = lanczos.reduce((sum, c, i) => sum + (i === 0 ? c : c / (z + i)), 0)
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(series)
}

function positivePolygamma(order: number, x: number): number {
  const steps = Math.max(0, Math.ceil(18 + order - x))
  const y = x + steps
  if (order === 0) {
    let value = Math.log(y) - 0.5 / y + horner(1 / (y * y), [0, ...digammaSeries(10)])
    for (let k = 0; k < steps; k++) value -= 1 / (x + k)
    return value
  }
  const s = order + 1
  let zeta = y ** (1 - s) * (1 / (s - 1) + 0.5 / y + horner(1 / (y * y), [0, ...hurwitzSeries(s, 10)]))
  for (let k = 0; k < steps; k++) zeta += (x + k) ** -s
  return (order % 2 ? 1 : -1) * factorial(order) * zeta
}

/** polygamma(order, x) in float64, order -1 being lgamma. */
export function referencePolygamma(order: number, x: number): number {
  const place = x - Math.round(x)
  if (order === -1) {
    if (x >= 0.5 || Number.isNaN(x)) return positiveLogGamma(x)
    return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * place))) - positiveLogGamma(1 - x)
  }
  if (x > 0 || Number.isNaN(x)) return positivePolygamma(order, x)
  const cotangent = Math.cos(Math.PI * place) / Math.sin(Math.PI * place)
  const mirrored = (order % 2 ? -1 : 1) * positivePolygamma(order, 1 - x)
  return mirrored - Math.PI ** (order + 1) * horner(cotangent, cotangentDerivative(order))
}
