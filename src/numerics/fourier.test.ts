import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { type Complex, type ComplexLike, fft, fft2, ifft, ifft2, irfft, irfft2, rfft, rfft2 } from './fourier.ts'

/** The definition, term by term. */
function slowTransform({ real, imag }: ComplexLike): Complex {
  const n = real.length
  const out = { real: new Float64Array(n), imag: new Float64Array(n) }
  for (let k = 0; k < n; k++) {
    for (let j = 0; j < n; j++) {
      const angle = (-2 * Math.PI * ((j * k) % n)) / n
      const [re, im] = [real[j], imag?.[j] ?? 0]
      out.real[k] += re * Math.cos(angle) - im * Math.sin(angle)
      out.imag[k] += re * Math.sin(angle) + im * Math.cos(angle)
    }
  }
  return out
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9): void {
  expect(actual.length).toBe(expected.length)
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(actual[i] - expected[i]), `value ${i}`).toBeLessThanOrEqual(tolerance * (1 + Math.abs(expected[i])))
  }
}

const values = (n: number) => fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: n, maxLength: n })
const signals = fc.integer({ min: 1, max: 70 }).chain(n => fc.record({ real: values(n), imag: values(n) }))
const images = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .chain(([rows, cols]) => fc.record({ rows: fc.constant(rows), cols: fc.constant(cols), real: values(rows * cols) }))

describe('Fourier transforms', () => {
  it('equal the definition for every length, prime and composite', () => {
    fc.assert(
      fc.property(signals, signal => {
        const [fast, slow] = [fft(signal), slowTransform(signal)]
        expectClose(fast.real, slow.real, 1e-10)
        expectClose(fast.imag, slow.imag, 1e-10)
      }),
      { numRuns: 150 },
    )
  })

  it('invert under each norm, and ortho keeps the energy (Parseval)', () => {
    fc.assert(
      fc.property(
        signals,
        fc.constantFrom('backward' as const, 'ortho' as const, 'forward' as const),
        (signal, norm) => {
          const back = ifft(fft(signal, norm), norm)
          expectClose(back.real, signal.real, 1e-10)
          expectClose(back.imag, signal.imag, 1e-10)
          const energy = ({ real, imag }: ComplexLike) =>
            Array.from(real).reduce((sum, value, i) => sum + value * value + (imag?.[i] ?? 0) ** 2, 0)
          expectClose([energy(fft(signal, 'ortho'))], [energy(signal)], 1e-10)
        },
      ),
    )
  })

  it('keep their accuracy for a long prime length', () => {
    const n = 10007
    const cosine = Float64Array.from({ length: n }, (_, i) => Math.cos((2 * Math.PI * ((1234 * i) % n)) / n))
    const { real } = rfft(cosine)
    expect(real[1234]).toBeCloseTo(n / 2, 6)
    expect(Math.max(...real.map((value, k) => (k === 1234 ? 0 : Math.abs(value))))).toBeLessThan(1e-7)
  })

  it('of images factor by rows and columns, and real ones come back from half a spectrum', () => {
    fc.assert(
      fc.property(images, ({ rows, cols, real }) => {
        const full = fft2(rows, cols, { real })
        const byRow = Array.from({ length: rows }, (_, i) =>
          slowTransform({ real: real.slice(i * cols, (i + 1) * cols) }),
        )
        for (let j = 0; j < cols; j++) {
          const column = slowTransform({ real: byRow.map(row => row.real[j]), imag: byRow.map(row => row.imag[j]) })
          expectClose(
            full.real.filter((_, at) => at % cols === j),
            column.real,
          )
          expectClose(
            full.imag.filter((_, at) => at % cols === j),
            column.imag,
          )
        }
        expectClose(ifft2(rows, cols, full).real, real)
        expectClose(irfft2(rows, cols, rfft2(rows, cols, real)), real)
        expectClose(irfft(rfft(real, 'ortho'), real.length, 'ortho'), real)
      }),
      { numRuns: 60 },
    )
  })

  it('say what does not fit', () => {
    expect(() => fft({ real: [] })).toThrow('fft: length is 0')
    expect(() => fft({ real: [1, 2], imag: [1] })).toThrow('have 2 and 1 entries')
    expect(() => fft2(2, 2, { real: [1] })).toThrow('2x2 needs 4 values, but 1 were given')
    expect(() => irfft({ real: [1, 2] }, 5)).toThrow('1x5 needs 1x3 frequencies, but 2 were given')
  })
})

describe.skipIf(!goldenExists('core.linalg'))('core.linalg golden', () => {
  const golden = readGolden('core.linalg') as Golden
  const planes = (name: string) => {
    const { shape, data } = goldenTensor(golden, name)
    const size = shape[2] * shape[3]
    return Array.from({ length: data.length / size }, (_, i) => data.subarray(i * size, (i + 1) * size))
  }
  const [rows, cols] = [8, 6]

  it('rfft2, and the magnitude of the orthonormal fft2', () => {
    for (const [i, plane] of planes('in.fft.x').entries()) {
      const half = rfft2(rows, cols, plane)
      expectClose(half.real, planes('out.fft.rfft2_real')[i], 1e-5)
      expectClose(half.imag, planes('out.fft.rfft2_imag')[i], 1e-5)
      const { real, imag } = fft2(rows, cols, { real: plane }, 'ortho')
      expectClose(
        real.map((value, at) => Math.hypot(value, imag[at])),
        planes('out.fft.fft2_ortho_abs')[i],
        1e-5,
      )
    }
  })

  it('a filter over the half spectrum', () => {
    const weights = planes('param.rfft_filter.w').length
    expect(weights).toBe(24)
    const { data } = goldenTensor(golden, 'param.rfft_filter.w')
    for (const [i, plane] of planes('in.rfft_filter.x').entries()) {
      const half = rfft2(rows, cols, plane, 'ortho')
      const offset = (i % 3) * rows * 4 * 2
      const filtered = { real: new Float64Array(half.real.length), imag: new Float64Array(half.real.length) }
      for (let at = 0; at < half.real.length; at++) {
        const [re, im] = [data[offset + 2 * at], data[offset + 2 * at + 1]]
        filtered.real[at] = half.real[at] * re - half.imag[at] * im
        filtered.imag[at] = half.real[at] * im + half.imag[at] * re
      }
      expectClose(irfft2(rows, cols, filtered, 'ortho'), planes('out.rfft_filter.y')[i], 1e-5)
    }
  })
})
