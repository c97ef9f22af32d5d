import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { linearSumAssignment } from './assignment.ts'
import { type MatrixLike, matrix } from './matrix.ts'

/** The optimum by trying every matching. */
function exhaustive(cost: MatrixLike): number {
  const pairs = Math.min(cost.rows, cost.cols)
  let best = Infinity
  const extend = (row: number, used: number, left: number, sum: number) => {
    if (left === 0) best = Math.min(best, sum)
    if (left === 0 || cost.rows - row < left) return
    if (cost.rows - row > left) extend(row + 1, used, left, sum)
    for (let j = 0; j < cost.cols; j++) {
      if (!(used & (1 << j))) extend(row + 1, used | (1 << j), left - 1, sum + cost.data[row * cost.cols + j])
    }
  }
  extend(0, 0, pairs, 0)
  return best
}

const side = fc.integer({ min: 1, max: 5 })
const costs = (value: fc.Arbitrary<number>) =>
  fc
    .tuple(side, side)
    .chain(([rows, cols]) =>
      fc.array(value, { minLength: rows * cols, maxLength: rows * cols }).map(data => matrix(rows, cols, data)),
    )

describe('linearSumAssignment', () => {
  it('finds the optimum of any rectangular matrix, ties and negative costs included', () => {
    fc.assert(
      fc.property(costs(fc.integer({ min: -6, max: 6 })), cost => {
        const { columnOfRow, rowOfColumn, total } = linearSumAssignment(cost)
        expect(total).toBe(exhaustive(cost))
        const matched = [...columnOfRow].filter(column => column >= 0)
        expect(new Set(matched).size).toBe(Math.min(cost.rows, cost.cols))
        for (let i = 0; i < cost.rows; i++) if (columnOfRow[i] >= 0) expect(rowOfColumn[columnOfRow[i]]).toBe(i)
        expect([...rowOfColumn].filter(row => row >= 0).length).toBe(matched.length)
      }),
      { numRuns: 200 },
    )
  })

  it('maximising is minimising the negative', () => {
    fc.assert(
      fc.property(costs(fc.integer({ min: -50, max: 50 })), cost => {
        const negated = matrix(
          cost.rows,
          cost.cols,
          cost.data.map(value => -value),
        )
        // Adding 0 turns -0 into 0.
        expect(linearSumAssignment(cost, { maximise: true }).total + 0).toBe(-linearSumAssignment(negated).total + 0)
      }),
    )
  })

  it('avoids forbidden pairs, or says that it cannot', () => {
    const forbid = Infinity
    expect([...linearSumAssignment(matrix(2, 2, [forbid, 9, 1, 1])).columnOfRow]).toEqual([1, 0])
    expect(() => linearSumAssignment(matrix(2, 2, [forbid, 1, forbid, 1]))).toThrow('leave no full matching')
    fc.assert(
      fc.property(costs(fc.constantFrom(0, 1, 5, Infinity)), cost => {
        const best = exhaustive(cost)
        if (best === Infinity) expect(() => linearSumAssignment(cost)).toThrow('leave no full matching')
        else expect(linearSumAssignment(cost).total).toBe(best)
      }),
      { numRuns: 200 },
    )
  })

  it('handles empty sides and names a bad cost', () => {
    expect(linearSumAssignment(matrix(0, 3))).toEqual({
      columnOfRow: new Int32Array(0),
      rowOfColumn: new Int32Array([-1, -1, -1]),
      total: 0,
    })
    expect(() => linearSumAssignment(matrix(1, 2, [0, Number.NaN]))).toThrow('cost (0, 1) is NaN')
    expect(() => linearSumAssignment(matrix(1, 1, [Infinity]), { maximise: true })).toThrow('cost (0, 0) is Infinity')
  })
})

describe.skipIf(!goldenExists('core.linalg'))('core.linalg golden', () => {
  const golden = readGolden('core.linalg') as Golden
  const cost = (name: string) => {
    const { shape, data } = goldenTensor(golden, name)
    return matrix(shape[0], shape[1], data)
  }

  it('hungarian and hungarian_sq', () => {
    const { columnOfRow, total } = linearSumAssignment(cost('in.hungarian.cost'))
    expect(columnOfRow).toEqual(goldenTensor(golden, 'out.hungarian.col').data)
    expect(total).toBeCloseTo(goldenTensor(golden, 'out.hungarian.total').data[0], 5)
    expect(linearSumAssignment(cost('in.hungarian_sq.cost')).columnOfRow).toEqual(
      goldenTensor(golden, 'out.hungarian_sq.col').data,
    )
  })
})
