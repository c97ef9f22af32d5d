import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { strFromU8, unzipSync } from 'fflate'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SvgRasterizer } from '../../src/data/svg/index.ts'
import { createServer, type IndexingProgress } from '../../src/server/index.ts'
import { SampleCollection, sampleItems } from '../served-collection.ts'
import { hasChromium, launchChromium } from './browser.ts'

const collection = new SampleCollection(sampleItems(40))
const facets = {
  set: ['line', 'solid', 'thin', 'paint'].map(value => ({ value, count: 400, title: `The ${value} set` })),
  style: ['outline', 'filled'].map(value => ({ value, count: 400 })),
}

let pageFolder: string
let rasterizer: SvgRasterizer
let browser: Browser
let app: FastifyInstance
let context: BrowserContext
let page: Page
let origin: string
let indexing: IndexingProgress | undefined
let foreign: string[]
let faults: string[]

async function serve(port = 0): Promise<FastifyInstance> {
  const served = { collection, indexing: () => indexing, facets: () => facets }
  const server = await createServer({ collections: [served], rasterizer, pageFolder })
  await server.listen({ port })
  return server
}

beforeAll(async () => {
  if (!hasChromium) return
  pageFolder = await mkdtemp(join(tmpdir(), 'tenet-page-'))
  const vite = fileURLToPath(new URL('../../node_modules/vite/bin/vite.js', import.meta.url))
  // In a process of its own, so that the page is what users get and not what tests of React would.
  const args = [vite, 'build', '--outDir', pageFolder, '--emptyOutDir', '--logLevel', 'error']
  const { status } = spawnSync(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, NODE_ENV: 'production' },
  })
  expect(status).toBe(0)
  rasterizer = await SvgRasterizer.create({ workers: 1 })
  browser = await launchChromium()
  app = await serve()
  origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
})
afterAll(async () => {
  await browser?.close()
  await app?.close()
  await rasterizer?.close()
  if (pageFolder) await rm(pageFolder, { recursive: true })
})

beforeEach(async () => {
  if (!hasChromium) return
  indexing = undefined
  context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin })
  page = await context.newPage()
  page.setDefaultTimeout(8_000)
  foreign = []
  faults = []
  page.on('request', request => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(origin)) foreign.push(request.url())
  })
  page.on('pageerror', error => faults.push(error.stack ?? error.message))
  await page.goto(origin)
  await page.locator('.landing').waitFor()
})
afterEach(async () => {
  if (!hasChromium) return
  await context.close()
  expect(foreign).toEqual([])
  expect(faults).toEqual([])
})

const box = () => page.locator('input[type=search]')
const cells = () => page.locator('.grid .cell')
const summary = () => page.locator('.summary [role=status]')
const expectResults = (count: number) =>
  expect.poll(() => summary().textContent()).toBe(`${count.toLocaleString('en')} results`)

/** Drops a file on the page, as from the desktop. */
const drop = (name: string, type: string, base64: string) =>
  page.evaluate(
    ([fileName, mime, content]) => {
      const bytes = Uint8Array.from(atob(content), character => character.charCodeAt(0))
      const data = new DataTransfer()
      data.items.add(new File([bytes], fileName, { type: mime }))
      for (const kind of ['dragenter', 'dragover', 'drop'])
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }))
    },
    [name, type, base64],
  )

describe.skipIf(!hasChromium)('the page', () => {
  it('shows results as one types, and those of the last word only', async () => {
    await box().pressSequentially('settings', { delay: 30 })
    await expectResults(160)
    expect(await cells().first().textContent()).toMatch(/^cog/)
    await box().fill('love')
    await expectResults(160)
    await expect.poll(() => cells().first().textContent()).toMatch(/^heart/)
    await expect.poll(() => page.url()).toBe(`${origin}/?q=love`)
  })
  it('keeps few cells however many results there are, and reaches the last', async () => {
    await box().fill('e')
    await expectResults(collection.sample.filter(item => item.texts.some(text => text.includes('e'))).length)
    expect(await cells().count()).toBeLessThan(250)
    await cells().first().focus()
    const last = page.locator('.grid li').last()
    const remaining = async () => {
      await page.keyboard.press('End')
      return Number(await last.getAttribute('aria-setsize')) - Number(await last.getAttribute('aria-posinset'))
    }
    await expect.poll(remaining, { timeout: 60_000, interval: 100 }).toBe(0)
    expect(await cells().count()).toBeLessThan(250)
  })
  it('searches by drawing, undoes and clears', async () => {
    await page.getByRole('button', { name: 'Search by drawing' }).click()
    const { x, y } = (await page.locator('canvas').boundingBox())!
    const stroke = async (height: number) => {
      await page.mouse.move(x + 40, y + height)
      await page.mouse.down()
      await page.mouse.move(x + 200, y + height + 20, { steps: 8 })
      await page.mouse.up()
    }
    await stroke(60)
    await expectResults(1600)
    await stroke(160)
    await page.getByRole('button', { name: 'home', exact: true }).waitFor()
    await page.getByRole('button', { name: 'Undo stroke' }).click()
    await page.getByRole('button', { name: 'Clear drawing' }).click()
    await expect.poll(() => summary().textContent()).toBe('')
    expect(await page.getByRole('button', { name: 'Undo stroke' }).isDisabled()).toBe(true)
  })
  it('searches by a dropped picture and tells its words; a word leads on', async () => {
    const { svg } = collection.sample[0].image as { svg: string }
    await drop('cog.svg', 'image/svg+xml', Buffer.from(svg.replaceAll('currentColor', 'black')).toString('base64'))
    await expectResults(1600)
    await page.getByRole('button', { name: 'moon', exact: true }).click()
    await expectResults(160)
    expect(page.url()).toBe(`${origin}/?q=moon`)
  })
  it('refuses a hostile SVG with its reason, runs nothing of it, and goes on', async () => {
    await page.evaluate(() => {
      Object.assign(globalThis, { harmed: false })
    })
    const hostile =
      '<svg xmlns="http://www.w3.org/2000/svg" onload="globalThis.harmed=true"><script>globalThis.harmed=true</script>' +
      '<image href="http://outside.invalid/x.png"/></svg>'
    await drop('bad.svg', 'image/svg+xml', Buffer.from(hostile).toString('base64'))
    await page.getByText('This cannot be searched').waitFor()
    expect(await page.locator('.empty').textContent()).toMatch(/this SVG is refused/)
    expect(await page.evaluate(() => (globalThis as unknown as { harmed: boolean }).harmed)).toBe(false)
    await page.getByRole('button', { name: 'Remove picture from the search' }).click()
    await box().fill('cog')
    await expectResults(160)
  })
  it('filters by the values that are there', async () => {
    await box().fill('cog')
    await expectResults(160)
    await page.getByRole('button', { name: 'Set', exact: true }).click()
    await page.getByLabel('The line set').check()
    await expectResults(40)
    await page.getByLabel('The thin set').check()
    await expectResults(80)
    await page.keyboard.press('Escape')
    expect(await page.getByLabel('The thin set').count()).toBe(0)
    expect(page.url()).toBe(`${origin}/?q=cog&set=line&set=thin`)
    await page.getByRole('button', { name: 'Clear filters' }).click()
    await expectResults(160)
  })
  it('goes back and forward through searches and items', async () => {
    await box().fill('cog')
    await expectResults(160)
    await cells().nth(2).click()
    await page.getByRole('heading', { name: 'Why it matched' }).waitFor()
    const item = page.url()
    await page.goBack()
    await expect.poll(() => page.locator('aside.item').count()).toBe(0)
    await page.goBack()
    await page.getByRole('heading', { level: 1 }).waitFor()
    expect(await box().inputValue()).toBe('')
    await page.goForward()
    await expectResults(160)
    await page.goForward()
    await page.locator('aside.item').waitFor()
    expect(page.url()).toBe(item)
    await page.reload()
    await page.locator('aside.item h2').waitFor()
    expect(await box().inputValue()).toBe('cog')
  })
  it('copies an item in every form, in the colour and size that were chosen', async () => {
    await box().fill('cog')
    await cells().first().click()
    const copied = async (name: string) => {
      await page.getByRole('button', { name: `Copy ${name}`, exact: true }).click()
      await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).not.toBe('')
      return page.evaluate(() => navigator.clipboard.readText())
    }
    await page.getByRole('button', { name: 'Colour #dc2626' }).click()
    await page.locator('.size input').fill('64')
    expect(await copied('SVG')).toMatch(/^<svg width="64" height="64".*stroke="#dc2626"/)
    expect(await copied('Data URL')).toMatch(/^data:image\/svg\+xml,%3Csvg/)
    expect(await copied('Name')).toBe('line:cog')
    expect(await copied('UnoCSS')).toBe('i-line-cog')
    expect(await copied('Tailwind')).toBe('icon-[line--cog]')
    expect(await copied('React snippet')).toMatch(
      /^export const Cog = props => \([\s\S]*\{\.\.\.props\}[\s\S]*strokeWidth="2"/,
    )
    await page.getByRole('tab', { name: 'Vue' }).click()
    expect(await copied('Vue snippet')).toMatch(/^<template>/)
    await page.getByRole('button', { name: 'Copy PNG', exact: true }).click()
    const kinds = () => page.evaluate(async () => (await navigator.clipboard.read()).flatMap(({ types }) => types))
    await expect.poll(kinds).toEqual(['image/png'])
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download PNG' }).click(),
    ])
    expect((await readFile(await download.path())).subarray(1, 4).toString()).toBe('PNG')
  })
  it('shows what is similar elsewhere, and whose work it is', async () => {
    await page.goto(`${origin}/?q=cog&item=line:cog`)
    await page.getByRole('heading', { name: 'Similar in other sets' }).waitFor()
    expect(await page.locator('.about').textContent()).toMatch(/MIT[\s\S]*A\. Line/)
    const ids = await page
      .locator('.similar button')
      .evaluateAll(nodes => nodes.map(node => node.getAttribute('aria-label')))
    expect(ids.length).toBeGreaterThan(0)
    expect(ids.filter(id => id?.startsWith('line:'))).toEqual([])
  })
  it('exports a basket as one zip with the licences', async () => {
    await box().fill('cog')
    await cells()
      .nth(0)
      .click({ modifiers: ['Control'] })
    await cells()
      .nth(1)
      .click({ modifiers: ['Control'] })
    await page.getByRole('button', { name: 'Basket, 2 chosen' }).click()
    await page.getByLabel('PNG').check()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Export zip' }).click(),
    ])
    const files = unzipSync(await readFile(await download.path()))
    expect(Object.keys(files).sort()).toEqual([
      'LICENCES.md',
      'line/cog-2.png',
      'line/cog-2.svg',
      'line/cog.png',
      'line/cog.svg',
    ])
    expect(strFromU8(files['LICENCES.md'])).toMatch(/line \| A\. Line \| MIT \| line:cog, line:cog-2/)
  })
  it('can be used by keyboard alone', async () => {
    await page.keyboard.press('/')
    await page.keyboard.type('cog')
    await expectResults(160)
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('cog-2, line')
    await page.keyboard.press('Enter')
    await page.locator('aside.item').waitFor()
    await page.keyboard.press('Escape')
    await expect.poll(() => page.locator('aside.item').count()).toBe(0)
    expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('cog-2, line')
    await page.keyboard.press('ArrowUp')
    expect(await page.evaluate(() => document.activeElement?.getAttribute('type'))).toBe('search')
  })
  it('says when nothing is found', async () => {
    await box().fill('zzz')
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor()
  })
  it('says when the server is away, and goes on when it is back', async () => {
    const port = Number(new URL(origin).port)
    await app.close()
    await box().fill('cog')
    await page.getByText('This cannot be searched').or(page.getByText('does not answer')).first().waitFor()
    app = await serve(port)
    await box().fill('bell')
    await expectResults(160)
  })
  it('shows how far indexing is', async () => {
    indexing = { done: 30_000, total: 99_000, rate: 1_300, secondsLeft: 53, failed: 0 }
    await page.reload()
    const banner = page.locator('.banner')
    await banner.waitFor()
    expect(await banner.textContent()).toMatch(/30,000 of 99,000[\s\S]*1,300\/s · 53 s left/)
    indexing = undefined
    await expect.poll(() => banner.count(), { timeout: 30_000 }).toBe(0)
  })
  it('turns dark and remembers it', async () => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const light = await background()
    await page.getByRole('button', { name: 'Dark colours' }).click()
    expect(await background()).not.toBe(light)
    const dark = await background()
    await page.reload()
    expect(await background()).toBe(dark)
  })
  it('fits a phone', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(await overflow()).toBeLessThanOrEqual(0)
    await box().fill('cog')
    await expectResults(160)
    expect(await overflow()).toBeLessThanOrEqual(0)
    await cells().first().click()
    await page.locator('aside.item').waitFor()
    expect(await overflow()).toBeLessThanOrEqual(0)
  })
})
