import { describe, expect, it } from 'vitest'
import { check, randomTensor } from '../../../test/check.ts'
import { grad, hostTensor, interpret, placeholder, tensor } from '../index.ts'
import { cast } from './cast.ts'
import { mul } from './elementwise.ts'
import { sum } from './reduce.ts'

describe('cast', () => {
  it('truncates floats toward zero on their way to integers', async () => {
    const x = hostTensor([-2.7, -0.5, 0, 0.5, 2.7, 100.9], [6])
    await check(t => [cast(t, 'i32'), cast(t, 'i64'), cast(t, 'bool')], [x], { gradient: false })
    expect([...interpret([cast(tensor(x.data), 'i32')])[0].data]).toEqual([-2, 0, 0, 0, 2, 100])
  })
  it('turns integers and booleans into numbers', async () => {
    await check(
      t => [cast(t, 'f32'), cast(t, 'i64'), cast(t, 'bool'), cast(t, 'u8')],
      [hostTensor(new Int32Array([0, 1, 7, 200]), [4])],
    )
    await check(t => [cast(t, 'f32'), cast(t, 'i32')], [hostTensor([1, 0], [2], 'bool')])
  })
  it('accepts empty tensors', async () => {
    await check(t => cast(t, 'i32'), [randomTensor([0, 2])], { gradient: false })
  })
  it('is nothing where the type stays', () => {
    const x = placeholder('x', [2])
    expect(cast(x, 'f32')).toBe(x)
  })
  it('passes gradients between floats and stops them at integers', () => {
    const x = placeholder('x', [2])
    const through = cast(cast(x, 'f16'), 'f32')
    const whole = cast(cast(x, 'i32'), 'f32')
    const gradients = [grad(sum(mul(through, 3)), [x])[0], grad(sum(mul(whole, 3)), [x])[0]]
    expect(interpret(gradients, new Map([[x, [1.5, 2.5]]])).map(({ data }) => [...data])).toEqual([
      [3, 3],
      [0, 0],
    ])
  })
})
