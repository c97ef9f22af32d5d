import { describe, expect, it } from 'vitest'
import { conv, convTranspose, countFlops, grad, matmul, multiplyAdds, placeholder, scan } from './index.ts'

const x = (...shape: number[]) => placeholder('x', shape)

describe('multiplyAdds', () => {
  it('counts the products of a matrix product, transposed or not, with broadcast batches', () => {
    expect(multiplyAdds([matmul(x(2, 3), x(3, 5))])).toBe(30)
    expect(multiplyAdds([matmul(x(7, 1, 3, 2), x(4, 5, 3), { transposeA: true, transposeB: true })])).toBe(7 * 4 * 30)
  })
  it('counts those of a convolution by groups, and of its adjoint', () => {
    expect(multiplyAdds([conv(x(1, 4, 8, 8), x(6, 2, 3, 3), { groups: 2, padding: 1, stride: 2 })])).toBe(
      6 * 16 * 2 * 9,
    )
    expect(multiplyAdds([convTranspose(x(1, 4, 5, 5), x(4, 6, 2, 2), { stride: 2 })])).toBe(4 * 25 * 6 * 4)
  })
  it('counts shared work once and elementwise work not at all', () => {
    const product = matmul(x(2, 2), x(2, 2))
    expect(multiplyAdds([product.add(product.mul(3)), product.relu()])).toBe(8)
  })
  it('counts each step of a loop', () => {
    const w = x(2, 2)
    const { carries } = scan(([h], [s]) => ({ carries: [matmul(h, w).add(s)] }), [x(1, 2)], [x(9, 1, 2)])
    expect(multiplyAdds(carries)).toBe(36)
  })
  it('tells products apart, and counts both gradients of a convolution like the convolution', () => {
    const [input, weight, dense] = [x(2, 4, 8, 8), x(6, 2, 3, 3), x(6, 5)]
    const y = conv(input, weight, { groups: 2, padding: 1 })
    const scores = matmul(y.mean([2, 3]), dense)
    const once = 2 * 6 * 64 * 2 * 9
    expect([...countFlops([scores])]).toEqual([
      ['conv', once],
      ['matmul', 2 * 6 * 5],
    ])
    const counts = countFlops(grad(scores.mul(scores).sum(), [input, weight]))
    expect(counts.get('convInputGradient')).toBe(once)
    expect(counts.get('convWeightGradient')).toBe(once)
  })
  it('wants a concrete batch', () => {
    expect(() => multiplyAdds([matmul(x(-1, 3), x(3, 5))])).toThrow('such as a batch of 1')
  })
})
