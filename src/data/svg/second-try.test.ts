import { getIconData, iconToHTML, iconToSVG } from '@iconify/utils'
import { describe, expect, it } from 'vitest'
import { loadSet } from '../icons/sets.ts'
import { SvgRasterizer } from './rasterizer.ts'
import { SecondTry } from './second-try.ts'

const red =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><rect width="40" height="20" fill="red"/></svg>'

describe('SecondTry', () => {
  it('draws in a process apart, names what it cannot draw and goes on', async () => {
    const secondTry = new SecondTry(2000)
    try {
      const [drawn, broken, again] = await Promise.all([
        secondTry.draw(red, 8),
        secondTry.draw('<svg', 8),
        secondTry.draw(red, 4),
      ])
      expect('pixels' in drawn && [...drawn.pixels.subarray(0, 3)]).toEqual([255, 255, 255])
      expect('pixels' in drawn && [...drawn.pixels.subarray(4 * 8 * 3, 4 * 8 * 3 + 3)]).toEqual([255, 0, 0])
      expect('reason' in broken && broken.reason).toContain('cannot be drawn')
      expect('pixels' in again && again.pixels.length).toBe(4 * 4 * 3)
    } finally {
      secondTry.close()
    }
  })

  it('draws the icon of a real set on which resvg traps', async () => {
    const { attributes, body } = iconToSVG(getIconData(loadSet('noto').icons, 'rainbow-flag')!)
    const rasterizer = await SvgRasterizer.create({ workers: 1 })
    try {
      const { pixels, failed } = await rasterizer.rasterise([iconToHTML(body, { ...attributes }), red], 16)
      expect(failed).toEqual([])
      const colours = new Set(Array.from({ length: 16 * 16 }, (_, i) => pixels.slice(i * 3, i * 3 + 3).join(' ')))
      expect(colours.size).toBeGreaterThan(10)
      expect([...pixels.slice(16 * 16 * 3 + 8 * 16 * 3, 16 * 16 * 3 + 8 * 16 * 3 + 3)]).toEqual([255, 0, 0])
    } finally {
      await rasterizer.close()
    }
  })
})
