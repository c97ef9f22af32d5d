import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkSvg } from './check-svg.ts'

const svg = (body: string, attributes = 'viewBox="0 0 24 24"') =>
  `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${attributes}>${body}</svg>`

const repeat = (count: number, part: (i: number) => string) => Array.from({ length: count }, (_, i) => part(i)).join('')

const onePixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

describe('checkSvg', () => {
  it.each([
    ['a plain icon', svg('<path fill="currentColor" d="M3 3h18v18H3z"/>')],
    ['a gradient of its own', svg('<linearGradient id="a"/><path fill="url(#a)" d="M0 0h9"/>')],
    ['a gradient that takes over another', svg('<linearGradient id="a"/><linearGradient id="b" xlink:href="#a"/>')],
    ['a document type without entities', `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">${svg('')}`],
    [
      'notes of an editor',
      svg('', 'sodipodi:docname="image (2).svg" aria-label="url(of a page)" width="3" height="3"'),
    ],
    ['a link', svg('<a href="https://example.org"><path d="M0 0h9"/></a>')],
    ['a small picture inside', svg(`<image href="data:image/png;base64,${onePixel}"/>`)],
    ['a media query', svg('<style>@media (min-width: 1px) { path { fill: red } }</style>')],
  ])('accepts %s', (_, document) => {
    expect(checkSvg(document)).toBeUndefined()
  })

  it.each([
    ['a script', svg('<script>alert(1)</script>'), '<script>'],
    ['a script under another prefix', svg('<x:script xmlns:x="http://www.w3.org/2000/svg"/>'), '<x:script>'],
    ['an event handler', svg('<path onclick="alert(1)"/>'), 'attribute onclick'],
    ['a link that is a script', svg('<a href=" javascript:alert(1)"/>'), 'javascript'],
    ['HTML', svg('<foreignObject/>'), '<foreignObject>'],
    ['an address', svg('<image href="https://example.org/a.png"/>'), 'outside itself (https://example.org/a.png)'],
    ['a file', svg('<image xlink:href="file:///etc/passwd"/>'), 'outside itself'],
    ['a file behind character references', svg('<image href="&#102;ile:///etc/passwd"/>'), 'file:///etc/passwd'],
    ['a path', svg('<use href="other.svg#a"/>'), 'outside itself'],
    ['an address in a property', svg('<path fill="url(http://a.b/c#d)"/>'), 'outside itself'],
    ['an address behind CSS escapes', svg('<path style="fill:\\75 rl(//a.b)"/>'), 'outside itself'],
    ['an address in a style sheet', svg('<style>path{fill:url(//a.b)}</style>'), 'outside itself'],
    ['an import', svg('<style><![CDATA[@import "a.css";]]></style>'), 'other files'],
    ['an import in pieces', svg('<style>@im<!-- -->port "a.css"</style>'), 'other files'],
    ['a style sheet beside it', `<?xml-stylesheet href="a.css"?>${svg('')}`, 'style sheet'],
    ['an animated address', svg('<use href="#a"><set attributeName="href" to="//a.b"/></use>'), 'animates href'],
    ['entities', `<!DOCTYPE svg [<!ENTITY a "b">]>${svg('&a;')}`, 'entities'],
    ['an SVG inside', svg('<image href="data:image/svg+xml;base64,PHN2Zy8+"/>'), 'other than a PNG'],
    ['a picture that is none', svg('<image href="data:image/png;base64,AAAA"/>'), 'cannot be read'],
    ['a picture too large', svg(`<image href="data:image/png;base64,${hugePng()}"/>`), 'pixels'],
    ['a use of itself', svg('<g id="a"><use href="#a"/></g>'), 'circle'],
    ['patterns in a circle', svg('<pattern id="a"><path fill="url(#a)"/></pattern>'), 'circle'],
    ['a tower of copies', svg(tower()), 'draws more than'],
    ['deep nesting', svg(repeat(200, () => '<g>') + repeat(200, () => '</g>')), 'deeper than 100'],
    ['too many elements', svg(repeat(100_001, () => '<g/>')), 'more than 100000 elements'],
    ['one name too often', svg(repeat(101, () => '<g id="a"/>')), "100 elements 'a'"],
    ['too long a document', svg(`<path d="${'M0 0'.repeat(500_001)}"/>`), 'at most 2000000'],
    ['a side too long', svg('', 'width="1e9" height="1e9"'), 'cannot be drawn'],
    ['no side at all', svg('', 'viewBox="0 0 0 24"'), 'cannot be drawn'],
    ['a thread', svg('', 'viewBox="0 0 1 1000"'), 'differ by more than 200'],
    ['the end too early', svg('').slice(0, 60), 'well-formed'],
    ['HTML', '<html></html>', 'not an SVG'],
    ['text', 'hello', 'well-formed'],
    ['nothing', '', 'well-formed'],
  ])('refuses %s', (_, document, reason) => {
    expect(checkSvg(document)).toContain(reason)
  })

  it('takes limits', () => {
    const document = svg('<g><g/></g>')
    expect(checkSvg(document, { maxDepth: 2 })).toContain('deeper than 2')
    expect(checkSvg(document, { maxElements: 2 })).toContain('more than 2 elements')
    expect(checkSvg(document, { maxLength: 10 })).toContain('at most 10')
  })

  it('answers for any text, and any damage to a document', () => {
    const document = svg('<style>a{fill:url(#b)}</style><g id="b"><use xlink:href="#c"/></g>')
    fc.assert(fc.property(fc.string(), text => ['string', 'undefined'].includes(typeof checkSvg(text))))
    const at = fc.nat(document.length)
    fc.assert(
      fc.property(at, at, fc.string({ maxLength: 3 }), (from, to, between) => {
        const damaged = document.slice(0, from) + between + document.slice(to)
        return ['string', 'undefined'].includes(typeof checkSvg(damaged))
      }),
    )
  })

  it('is quick with style sheets made to be slow', () => {
    const start = performance.now()
    checkSvg(svg(`<style>${'/*'.repeat(400_000)}</style>`))
    checkSvg(svg(`<style>${'url('.repeat(400_000)}</style>`))
    expect(performance.now() - start).toBeLessThan(3000)
  })
})

/** The header of a PNG of 100,000 x 100,000 pixels. */
function hugePng(): string {
  const bytes = Buffer.from(onePixel, 'base64')
  bytes.writeUInt32BE(100_000, 16)
  bytes.writeUInt32BE(100_000, 20)
  return bytes.toString('base64')
}

/** Twenty groups, each of two copies of the one before: a million paths. */
function tower(): string {
  const level = (i: number) => `<g id="a${i + 1}"><use href="#a${i}"/><use href="#a${i}"/></g>`
  return `<path id="a0"/>${repeat(20, level)}`
}
