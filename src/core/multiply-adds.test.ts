import { describe, expect, it } from 'vitest'
import { conv, convTranspose, matmul, multiplyAdds, placeholder, scan } from './index.ts'

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
  it('wants a concrete batch', () => {
    expect(() => multiplyAdds([matmul(x(-1, 3), x(3, 5))])).toThrow('such as a batch of 1')
  })
})
