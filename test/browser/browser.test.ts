import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import '../../src/core/index.ts'
import { type BrowserPage, hasChromium, openBrowserPage } from './browser.ts'
import { smallTraining } from './small-training.ts'

declare global {
  function runModel(url: string, input: string, values: number[], shape: number[]): Promise<number[]>
}

if (!hasChromium) console.log('chromium is not installed: browser tests are skipped')

describe.skipIf(!hasChromium)('in headless Chromium', () => {
  let browser: BrowserPage
  beforeAll(async () => {
    browser = await openBrowserPage()
  })
  afterAll(async () => {
    await browser.close()
  })
  it('a small model trains, and comes to what it comes to in Node', async () => {
    const here = await smallTraining(200)
    const there = await browser.page.evaluate(() =>
      (globalThis as unknown as { smallTraining: typeof smallTraining }).smallTraining(200),
    )
    expect(here.losses.at(-1)!).toBeLessThan(here.losses[0] / 5)
    there.losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(here.losses[i], 4)
    })
    there.weights.forEach((weight, i) => {
      expect(weight).toBeCloseTo(here.weights[i], 3)
    })
  })
})
