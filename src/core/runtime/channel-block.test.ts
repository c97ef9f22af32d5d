import { expect, it } from 'vitest'
import { backend } from '../index.ts'
import type { Runtime } from './backend.ts'
import { probeChannelBlock } from './channel-block.ts'

it('finds the block of this processor, the same every time', async () => {
  const { runtime, channelBlock } = await backend().open('cpu')
  expect([0, 8, 16]).toContain(channelBlock)
  expect(await probeChannelBlock(runtime)).toBe(channelBlock)
})

it('finds none where the runtime has no blocked layout', async () => {
  const { runtime } = await backend().open('cpu')
  const without = { ...runtime, InferenceSession: { create: () => Promise.reject(new Error('no such operator')) } }
  expect(await probeChannelBlock(without as unknown as Runtime)).toBe(0)
})
