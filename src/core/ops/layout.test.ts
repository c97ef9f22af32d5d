import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { broadcastablePair, check, randomTensor, shapes, shapesWithEmpty } from '../../../test/check.ts'
import { grad, hostTensor, interpret, Program, placeholder, simplify, tensor, topologicalOrder } from '../index.ts'
import { broadcastShapes, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { mul } from './elementwise.ts'
import * as layout from './layout.ts'
import { sum } from './reduce.ts'

const values = (t: Tensor): number[] => [...interpret([t])[0].data]
/** 0, 1, 2, … in a shape. */
const counting = (shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => i),
    shape,
  )
const names = (t: Tensor): string[] => topologicalOrder(simplify([t])).map(node => node.primitive.name)
const anyShape = fc.oneof(shapes(4, 4), shapesWithEmpty())

describe('reshape and its relatives', () => {
  it('keep the elements in order, empty tensors too, and differentiate', async () => {
    await fc.assert(
      fc.asyncProperty(anyShape, async shape => {
        await check(x => layout.reshape(x, [sizeOf(shape)]), [randomTensor(shape)])
        await check(x => layout.expandDims(x, [0, -1]), [randomTensor(shape)])
        await check(x => layout.squeeze(layout.expandDims(x, 0), 0), [randomTensor(shape)])
        await check(x => layout.flatten(x), [randomTensor(shape)])
      }),
      { numRuns: 6 },
    )
  })
  it('work out one size, also of what follows the symbolic batch', () => {
    expect(layout.reshape(counting([4, 3]), [2, -1]).shape).toEqual([2, 6])
    expect(layout.reshape(placeholder('x', [-1, 6]), [-2, 3]).shape).toEqual([-2, 3])
    expect(layout.flatten(placeholder('x', [-1, 4, 2, 5]), 0, 1).shape).toEqual([-4, 2, 5])
    expect(layout.squeeze(placeholder('x', [-1, 1, 2, 1])).shape).toEqual([-1, 2])
  })
  it('name what does not fit', () => {
    expect(() => layout.reshape(counting([2, 3]), [4])).toThrow(
      'reshape: [2,3] has 6 elements and cannot become [4] with 4',
    )
    expect(() => layout.reshape(counting([2, 3]), [-1, -1])).toThrow('at most one size can be -1')
    expect(() => layout.reshape(counting([2, 3]), [4, -1])).toThrow('which [4,-1] cannot divide')
    expect(() => layout.squeeze(counting([2, 3]), 0)).toThrow('squeeze: axis 0 of [2,3] does not have size 1')
    expect(() => layout.expandDims(counting([2]), 5)).toThrow('expandDims: axis 5 is out of range')
  })
})

describe('transpose and its relatives', () => {
  it('agree with their reference and differentiate', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes(4, 3).chain(shape =>
          fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length })),
        ),
        async ([shape, permutation]) => {
          await check(x => layout.transpose(x, permutation), [randomTensor(shape)], { second: true })
        },
      ),
      { numRuns: 8 },
    )
    await check(x => [layout.swapAxes(x, 0, -1), layout.moveAxis(x, 0, -1)], [randomTensor([2, 0, 3])])
  })
  it('undo each other', () => {
    const x = counting([2, 3, 4])
    expect(layout.transpose(layout.transpose(x)).shape).toEqual([2, 3, 4])
    expect(values(layout.moveAxis(layout.moveAxis(x, 0, 2), 2, 0))).toEqual(values(x))
    expect(names(layout.transpose(layout.transpose(x)))).toEqual(['constant'])
    expect(names(layout.transpose(counting([1, 5, 1]), [2, 1, 0]))).not.toContain('transpose')
  })
  it('move the symbolic batch', () => {
    expect(layout.moveAxis(placeholder('x', [2, -3, 4]), 1, 0).shape).toEqual([-3, 2, 4])
  })
  it('refuse what is no permutation', () => {
    expect(() => layout.transpose(counting([2, 3]), [0, 0])).toThrow(
      'transpose: [0,0] is not a permutation of the 2 axes',
    )
    expect(() => layout.swapAxes(counting([2]), 0, 1)).toThrow(
      'swapAxes: axis 1 is out of range for a tensor of 1 axes',
    )
  })
})

describe('broadcastTo and sumTo', () => {
  it('are adjoint: <broadcast x, y> = <x, sumTo y>', async () => {
    await fc.assert(
      fc.asyncProperty(broadcastablePair(), async ([a, b]) => {
        const shape = broadcastShapes('test', a, b)
        const x = randomTensor(a, 1)
        const y = randomTensor(shape, 2)
        const dot = (s: Tensor, t: Tensor): number => values(sum(mul(s, t)))[0]
        const [left, right] = [tensor(x.data, a), tensor(y.data, shape)]
        expect(dot(layout.broadcastTo(left, shape), right)).toBeCloseTo(dot(left, layout.sumTo(right, a)), 6)
        await check(t => layout.broadcastTo(t, shape), [x], { second: true })
      }),
      { numRuns: 8 },
    )
  })
  it('accept empty axes and the symbolic batch', async () => {
    await check(x => layout.broadcastTo(x, [3, 0, 2]), [randomTensor([1, 2])])
    const batch = placeholder('batch', [-1, 1])
    const program = await Program.compile([batch], [layout.broadcastTo(batch, [2, -1, 3])])
    const [{ shape }] = await program.run([randomTensor([5, 1])])
    expect(shape).toEqual([2, 5, 3])
  })
  it('refuse to shrink', () => {
    expect(() => layout.broadcastTo(counting([2, 3]), [3])).toThrow('broadcastTo: [2,3] does not stretch to [3]')
    expect(() => layout.broadcastTo(counting([2]), [3])).toThrow('do not broadcast')
  })
  it('fill tensors', async () => {
    expect(values(layout.full([2, 2], 7))).toEqual([7, 7, 7, 7])
    expect(values(layout.zerosLike(counting([2])))).toEqual([0, 0])
    expect(values(layout.onesLike(counting([2])))).toEqual([1, 1])
    expect((await layout.full([0], 1).value()).shape).toEqual([0])
    expect(layout.zeros([1], 'i64').dtype).toBe('i64')
  })
})

describe('at, slice and flip', () => {
  const bound = (size: number): fc.Arbitrary<number | null> => fc.option(fc.integer({ min: -size - 1, max: size + 1 }))
  const range = (size: number): fc.Arbitrary<readonly [number | null, number | null, number]> =>
    fc.tuple(bound(size), bound(size), fc.constantFrom(1, 2, 3, -1, -2))
  /** What Python's list[start:end:step] gives. */
  function pythonSlice<T>(
    list: readonly T[],
    [start, end, step]: readonly [number | null, number | null, number],
  ): T[] {
    const clamp = (value: number, low: number, high: number): number =>
      Math.min(Math.max(value < 0 ? value + list.length : value, low), high)
    const taken: T[] = []
    if (step > 0) {
      const stop = end === null ? list.length : clamp(end, 0, list.length)
      for (let i = start === null ? 0 : clamp(start, 0, list.length); i < stop; i += step) taken.push(list[i])
    } else {
      const stop = end === null ? -1 : clamp(end, -1, list.length - 1)
      for (let i = start === null ? list.length - 1 : clamp(start, -1, list.length - 1); i > stop; i += step)
        taken.push(list[i])
    }
    return taken
  }

  it("take what Python's slices take", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6 }).chain(size => fc.tuple(fc.constant(size), range(size))),
        ([size, bounds]) => {
          const x = counting([size])
          expect(values(layout.at(x, bounds))).toEqual(pythonSlice(values(x), bounds))
        },
      ),
    )
  })
  it('agree with their reference in every step and direction, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(range(5), range(4), async (first, second) => {
        await check(x => layout.at(x, first, null, second), [randomTensor([5, 2, 4])], { second: true })
      }),
      { numRuns: 12 },
    )
    await check(x => [layout.at(x, 1), layout.at(x, null, -1), layout.flip(x, [0, 1])], [randomTensor([3, 4])])
    await check(x => layout.slice(x, 1, 1, undefined, 2), [randomTensor([2, 5])])
  })
  it('leave the symbolic batch alone, unless asked for a part of it', () => {
    expect(layout.at(placeholder('x', [-1, 4]), null, [1, 3]).shape).toEqual([-1, 2])
    expect(() => layout.at(placeholder('x', [-1, 4]), 0)).toThrow('axis 0 of [N,4] is the symbolic batch')
  })
  it('refuse single indices out of range, too many of them and steps of 0', () => {
    expect(() => layout.at(counting([3]), 3)).toThrow('at: index 3 is out of range for axis 0 of [3]')
    expect(() => layout.at(counting([3]), -4)).toThrow('at: index -4 is out of range')
    expect(() => layout.at(counting([3]), 0, 0)).toThrow('at: 2 indices for [3]')
    expect(() => layout.at(counting([3]), [0, 2, 0])).toThrow('at: step 0 along axis 0')
  })
  it('vanish where they take everything', () => {
    expect(names(layout.at(counting([3]), [0, 3]))).toEqual(['constant'])
  })
})

describe('pad and dilate', () => {
  const width = fc.integer({ min: -1, max: 2 })
  it('add borders and crop, any value, and differentiate', async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(width, width, width, width), async ([a, b, c, d]) => {
        await check(
          x =>
            layout.pad(
              x,
              [
                [a, b],
                [c, d],
              ],
              'constant',
              1.5,
            ),
          [randomTensor([3, 4])],
          { second: true },
        )
      }),
      { numRuns: 8 },
    )
    const flags = hostTensor([1, 0], [2], 'bool')
    await check(x => layout.pad(x, [[1, 1]], 'constant', 1), [flags], { gradient: false })
  })
  it('mirror, repeat and wrap around', async () => {
    const x = counting([4])
    expect(values(layout.pad(x, [[2, 3]], 'reflect'))).toEqual([2, 1, 0, 1, 2, 3, 2, 1, 0])
    expect(values(layout.pad(x, [[2, 1]], 'replicate'))).toEqual([0, 0, 0, 1, 2, 3, 3])
    expect(values(layout.pad(x, [[2, 4]], 'circular'))).toEqual([2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
    for (const mode of ['reflect', 'replicate', 'circular'] as const)
      await check(
        t =>
          layout.pad(
            t,
            [
              [1, 2],
              [0, 1],
            ],
            mode,
          ),
        [randomTensor([3, 3])],
        { second: true },
      )
  })
  it('insert zeros between neighbours', async () => {
    expect(values(layout.dilate(counting([3]), [3]))).toEqual([0, 0, 0, 1, 0, 0, 2])
    await check(x => layout.dilate(x, [2, 1]), [randomTensor([3, 2])])
    expect(layout.dilate(counting([0]), [2]).shape).toEqual([0])
  })
  it('refuse borders that are not there to be mirrored', () => {
    expect(() => layout.pad(counting([3]), [[3, 0]], 'reflect')).toThrow(
      'pad: mode reflect allows at most 2 on axis 0 of [3], got [3,0]',
    )
    expect(() => layout.pad(counting([3]), [[4, 0]], 'circular')).toThrow('at most 3')
    expect(() => layout.pad(counting([3]), [[-1, 0]], 'replicate')).toThrow('pad: mode replicate cannot crop')
    expect(() => layout.pad(counting([3]), [[-2, -2]])).toThrow('crops more than axis 0 of [3] has')
    expect(() => layout.pad(counting([3]), [])).toThrow('pad: 0 width pairs for [3]')
  })
})

describe('concat, stack, split, roll and tile', () => {
  it('agree with their references and differentiate', async () => {
    const [a, b] = [randomTensor([2, 3], 1), randomTensor([2, 1], 2)]
    await check((x, y) => layout.concat([x, y, x], 1), [a, b], { second: true })
    await check((x, y) => layout.concat([x, y], -2), [randomTensor([0, 3]), a])
    await check(x => layout.stack([x, mul(x, 2)], -1), [a], { second: true })
    await check(x => layout.split(x, [1, 2], 1), [a])
    await check(x => layout.split(x, 3, 1), [a])
    await check(x => layout.roll(x, [1, -5], [0, 1]), [a], { second: true })
    await check(x => layout.tile(x, [2, 1, 3]), [a], { second: true })
    await check(x => layout.tile(x, [3]), [a])
  })
  it('undo each other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: -9, max: 9 }), (size, shift) => {
        const x = counting([2, size])
        expect(values(layout.concat(layout.split(x, size, 1), 1))).toEqual(values(x))
        expect(values(layout.roll(layout.roll(x, shift, 1), -shift, 1))).toEqual(values(x))
      }),
    )
    expect(values(layout.roll(counting([4]), 1, 0))).toEqual([3, 0, 1, 2])
    expect(layout.roll(counting([0]), 1, 0).shape).toEqual([0])
  })
  it('name what does not fit', () => {
    expect(() => layout.concat([])).toThrow('concat: needs at least one tensor')
    expect(() => layout.concat([counting([2, 3]), counting([2, 2])])).toThrow(
      'concat: [2,3] and [2,2] differ outside axis 0',
    )
    expect(() => layout.concat([counting([2]), tensor(new Int32Array([1]))])).toThrow('dtypes f32 and i32 differ')
    expect(() => layout.concat([placeholder('x', [-1]), counting([1])])).toThrow('is the symbolic batch')
    expect(() => layout.split(counting([5]), 2)).toThrow('split: axis 0 of [5] does not divide into 2 equal parts')
    expect(() => layout.split(counting([5]), [1, 2])).toThrow('split: sizes [1,2] do not add up to axis 0 of [5]')
    expect(() => layout.roll(counting([5]), [1, 2], 0)).toThrow('roll: 2 shifts for 1 axes')
  })
  it('let gradients of parts flow back to their places', () => {
    const x = placeholder('x', [4])
    const [, second] = layout.split(x, 2)
    const [dx] = grad(sum(mul(second, [5, 6])), [x])
    expect([...interpret([dx], new Map([[x, [1, 2, 3, 4]]]))[0].data]).toEqual([0, 0, 5, 6])
  })
})
