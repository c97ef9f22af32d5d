import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor, shapes } from '../../../test/check.ts'
import { hostTensor, interpret, type Tensor, tensor } from '../index.ts'
import { betaln, digamma, dirichletLogNormalizer, lgamma, polygamma } from './special.ts'

const places = [-3.7, -0.4, 1e-3, 0.5, 1, 1.0001, 1.4616321, 2, 2.0003, 3.3, 7.9, 50, 1e4]

/** What PyTorch 1.13 gives at `places` in float64. */
const expected: [string, (x: Tensor) => Tensor, number[]][] = [
  [
    'lgamma',
    lgamma,
    [
      -1.3797399049658245, 1.31452458994339, 6.907178885383853, 0.5723649429247001, 0, -5.771334222047127e-5,
      -0.12148629053584863, 0, 0.0001268643207442828, 0.9870985778947344, 8.32426586800881, 144.5657439463449,
      82099.71749644238,
    ],
  ],
  [
    'digamma',
    digamma,
    [
      -0.8450768588704183, 0.9593807861068099, -1000.5755719318104, -1.9635100260214229, -0.5772156649015328,
      -0.5770511835143347, -4.351463691969464e-8, 0.422784335098467, 0.42297779713562267, 1.0348224890596216,
      2.002238487563571, 3.9019896734278925, 9.21029037114285,
    ],
  ],
  [
    'trigamma',
    x => polygamma(1, x),
    [
      14.842421864106473, 9.886209670421028, 1000001.6425331949, 4.934802202073678, 1.6449340676383375,
      1.6446936887231547, 0.9676722857152831, 0.6449340670881899, 0.6448128551694993, 0.3535015419034924,
      0.13493078345833537, 0.02020133322669713, 0.00010000500016666666,
    ],
  ],
  [
    'polygamma 2',
    x => polygamma(2, x),
    [
      -68.89345468867353, 21.28716846285654, -2000000002.3976321, -16.828796644234316, -2.404113806319188,
      -2.4034645367899485, -0.8855264077130535, -0.4041138063191886, -0.40396566437112075, -0.12375118526494273,
      -0.018179004838322608, -0.000408079989337597, -1.0001000050000002e-8,
    ],
  ],
  [
    'polygamma 5',
    x => polygamma(5, x),
    [
      165660.15728399347, 31876.506907768446, 1.2e20, 7691.113548602433, 122.08116743813383, 122.00859158617973,
      12.938888420572864, 2.081167438133896, 2.079364918599504, 0.12084171431847715, 0.0010575825986958336,
      8.071677135254361e-8, 2.40060006e-19,
    ],
  ],
]

describe('polygamma family', () => {
  it.each(expected)('%s has the values of PyTorch, in float64 and in single precision', async (_, f, values) => {
    const reference = interpret([f(tensor(Float32Array.from(places)))], new Map())[0].data
    const single = (await f(tensor(Float32Array.from(places))).value()).numbers()
    // What rounding the place itself to single precision may change, then what the formula may.
    const slope = interpret([f(tensor(Float32Array.from(places.map(x => x * (1 + 1e-6)))))])[0].data
    values.forEach((value, i) => {
      const moved = Math.abs(slope[i] - reference[i]) * 0.2
      expect(Math.abs(reference[i] - value), `float64 at ${places[i]}`).toBeLessThan(
        moved + 1e-9 * Math.abs(value) + 1e-13,
      )
      // The digits are lost where terms of the size of 2 cancel: at the root of digamma.
      const scale = Math.max(Math.abs(value), f === digamma ? 0.5 : 0)
      expect(Math.abs(single[i] - reference[i]), `single at ${places[i]}`).toBeLessThan(1.5e-6 * scale + moved)
    })
  })
  it('keeps relative accuracy of lgamma about its zeros', async () => {
    const x = Float32Array.from([1 - 1e-3, 1 - 1e-6, 1 + 1e-6, 1 + 1e-4, 2 - 1e-4, 2 - 1e-6, 2 + 1e-6, 2 + 1e-3])
    const reference = interpret([lgamma(tensor(x))])[0].data
    const single = (await lgamma(tensor(x)).value()).numbers()
    reference.forEach((value, i) => {
      expect(Math.abs(single[i] - value)).toBeLessThan(1e-6 * Math.abs(value) + 1e-14)
    })
  })
  it('keeps relative accuracy over the whole range', async () => {
    const x = Float32Array.from({ length: 400 }, (_, i) => 2 ** (i / 10 - 20))
    for (const f of [lgamma, (t: Tensor) => polygamma(1, t), (t: Tensor) => polygamma(3, t)]) {
      const reference = interpret([f(tensor(x))])[0].data
      const single = (await f(tensor(x)).value()).numbers()
      reference.forEach((value, i) => {
        // The reference itself is off by a rounding at the zeros of lgamma.
        const rounding = x[i] === 1 || x[i] === 2 ? 1e-14 : 0
        if (Math.abs(value) < 1e38)
          expect(Math.abs(single[i] - value), `at ${x[i]}`).toBeLessThan(3e-6 * Math.abs(value) + rounding)
      })
    }
  })
  it.each([
    ['lgamma', lgamma],
    ['digamma', digamma],
    ['polygamma 1', (x: Tensor) => polygamma(1, x)],
    ['polygamma 2', (x: Tensor) => polygamma(2, x)],
  ] as const)('%s differentiates into the next order, twice', async (_, f) => {
    await fc.assert(
      fc.asyncProperty(shapes(2, 4), fc.nat(1000), async (shape, seed) => {
        await check(x => f(x), [randomTensor(shape, seed, 0.6, 12)], { second: true })
        await check(x => f(x), [randomTensor(shape, seed, -0.8, -0.2)], { second: true, tolerance: 1e-4 })
      }),
      { numRuns: 4 },
    )
  })
  it('is infinite at the poles', async () => {
    expect([...(await lgamma(tensor([0, -1, -7])).value()).numbers()]).toEqual(
      new Array(3).fill(Number.POSITIVE_INFINITY),
    )
    expect(Math.abs((await digamma(tensor([-2])).value()).numbers()[0])).toBe(Number.POSITIVE_INFINITY)
  })
  it('takes no half orders and no integers', () => {
    expect(() => polygamma(0.5, tensor([1]))).toThrow(
      'polygamma: the order is 0.5, expected a whole number from 0 to 20',
    )
    expect(() => polygamma(-1, tensor([1]))).toThrow('polygamma: the order is -1')
    expect(() => lgamma(tensor(new Int32Array([1])))).toThrow('lgamma: expected a floating-point tensor, got i32')
  })
})

describe('compositions', () => {
  it('betaln is symmetric and knows B(2, 3) = 1/12', async () => {
    const y = (await betaln(tensor([2, 3, 0.5]), tensor([3, 2, 0.5])).value()).numbers()
    expectClose(y, [Math.log(1 / 12), Math.log(1 / 12), Math.log(Math.PI)], 1e-6, 'betaln')
    await check((a, b) => betaln(a, b), [randomTensor([2, 3], 1, 0.5, 4), randomTensor([3], 2, 0.5, 4)], {
      second: true,
    })
  })
  it('dirichletLogNormalizer of two categories is betaln', async () => {
    await check(a => dirichletLogNormalizer(a), [randomTensor([4, 3], 1, 0.5, 5)], { second: true })
    const y = (
      await dirichletLogNormalizer(tensor(hostTensor([2, 3], [1, 2]).data as Float32Array, [1, 2])).value()
    ).numbers()
    expectClose(y, [Math.log(1 / 12)], 1e-6, 'dirichletLogNormalizer')
  })
})
