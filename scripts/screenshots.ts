// Takes the pictures in docs/screenshots of a running `npm start`: npx tsx scripts/screenshots.ts [address]
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { launchChromium } from '../test/browser/browser.ts'

const origin = process.argv[2] ?? 'http://127.0.0.1:4242'
const folder = fileURLToPath(new URL('../docs/screenshots/', import.meta.url))

/** Takes a picture once results and their pictures have come to rest. */
async function keep(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(1_500)
  const png = await page.screenshot()
  await sharp(png).webp({ quality: 82 }).toFile(`${folder}${name}.webp`)
}

const fill = (page: Page, text: string) => page.locator('input[type=search]').fill(text)

/** A house, in three strokes of a mouse. */
async function drawHouse(page: Page): Promise<void> {
  const { x, y } = (await page.locator('canvas').boundingBox())!
  const strokes = [
    [
      [40, 150],
      [145, 55],
      [250, 150],
    ],
    [
      [70, 130],
      [70, 250],
      [220, 250],
      [220, 130],
    ],
    [
      [125, 250],
      [125, 185],
      [165, 185],
      [165, 250],
    ],
  ]
  for (const [[startX, startY], ...points] of strokes) {
    await page.mouse.move(x + startX, y + startY)
    await page.mouse.down()
    for (const [toX, toY] of points) await page.mouse.move(x + toX, y + toY, { steps: 12 })
    await page.mouse.up()
  }
}

const browser = await launchChromium()
const desktop = await browser.newPage({ viewport: { width: 1360, height: 850 } })
await desktop.goto(origin)
await keep(desktop, 'start')
await fill(desktop, 'save money')
await keep(desktop, 'words')
await desktop.locator('.grid .cell').nth(1).click()
await keep(desktop, 'item')
await desktop.keyboard.press('Escape')
await desktop.getByRole('button', { name: 'Set', exact: true }).click()
await keep(desktop, 'filter')
await desktop.keyboard.press('Escape')
await fill(desktop, '')
await desktop.getByRole('button', { name: 'Search by drawing' }).click()
await drawHouse(desktop)
await keep(desktop, 'drawing')
await desktop.getByRole('button', { name: 'Clear drawing' }).click()
await desktop.getByRole('button', { name: 'Close drawing pad' }).click()
await desktop.getByRole('button', { name: 'Dark colours' }).click()
await fill(desktop, 'Liebe')
for (const place of [0, 1, 2, 5])
  await desktop
    .locator('.grid .cell')
    .nth(place)
    .click({ modifiers: ['Control'] })
await keep(desktop, 'dark')
await desktop.getByRole('button', { name: 'Basket, 4 chosen' }).click()
await keep(desktop, 'basket')

const phone = await browser.newPage({ viewport: { width: 390, height: 800 }, deviceScaleFactor: 2, isMobile: true })
await phone.goto(origin)
await fill(phone, 'something sweet')
await keep(phone, 'phone')
await phone.locator('.grid .cell').nth(2).click()
await keep(phone, 'phone-item')
await browser.close()
