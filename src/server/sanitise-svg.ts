import { DOMParser } from 'linkedom'

/** Shapes, paint and text: all that a picture needs. Scripts, links, animation, embedded documents and styles stay out. */
const allowedElements = new Set(
  (
    'svg g defs symbol use title desc path rect circle ellipse line polyline polygon text tspan clippath mask pattern ' +
    'lineargradient radialgradient stop marker filter feblend fecolormatrix fecomponenttransfer fecomposite feflood ' +
    'fefunca fefuncb fefuncg fefuncr fegaussianblur femerge femergenode femorphology feoffset fedropshadow'
  ).split(' '),
)

const allowedAttributes = new Set(
  (
    'xmlns xmlns:xlink viewbox width height x y x1 y1 x2 y2 cx cy r rx ry fx fy d points transform fill fill-rule ' +
    'fill-opacity stroke stroke-width stroke-linecap stroke-linejoin stroke-miterlimit stroke-dasharray ' +
    'stroke-dashoffset stroke-opacity opacity color display visibility overflow clip-path clip-rule mask id offset ' +
    'stop-color stop-opacity gradientunits gradienttransform spreadmethod href xlink:href patternunits ' +
    'patterncontentunits patterntransform preserveaspectratio maskunits maskcontentunits clippathunits ' +
    'text-anchor font-size font-weight font-family font-style dominant-baseline letter-spacing dx dy marker-start ' +
    'marker-mid marker-end markerwidth markerheight markerunits orient refx refy filter filterunits primitiveunits ' +
    'in in2 result stddeviation mode operator values type k1 k2 k3 k4 flood-color flood-opacity tablevalues slope ' +
    'intercept amplitude exponent radius color-interpolation-filters vector-effect paint-order style role aria-hidden ' +
    'aria-label'
  ).split(' '),
)

const localReference = /^\s*#[\w.:-]+\s*$/
/** `url()` may point inside the picture only; escapes and imports could hide one that does not. */
const outsideStyle = /url\(\s*(?!['"]?#[\w.:-]+['"]?\s*\))|@import|expression|\\|javascript:|<|&/i

/**
 * Rewrites an SVG with nothing but shapes, paint and text, so that it may be shown and saved.
 *
 * Parsed without entities and document types, then kept by allow-list: elements, attributes, references within the picture.
 *
 * @returns the picture, or undefined when it is not an SVG
 */
export function sanitiseSvg(source: string): string | undefined {
  const body = source.replace(/<\?[\s\S]*?\?>|<!DOCTYPE[\s\S]*?(?:\[[\s\S]*?\]\s*)?>|<!--[\s\S]*?-->/gi, '').trim()
  if (!/^<svg[\s>]/i.test(body)) return undefined
  const root = new DOMParser().parseFromString(body, 'image/svg+xml').documentElement as unknown as Element | null
  if (root?.tagName.toLowerCase() !== 'svg') return undefined
  clean(root)
  if (!root.getAttribute('xmlns')) root.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return root.toString()
}

function clean(root: Element): void {
  // A stack instead of calls: nesting is the sender's choice.
  const open = [root]
  for (let element = open.pop(); element; element = open.pop()) {
    for (const { name, value } of [...element.attributes])
      if (!allowed(name.toLowerCase(), value)) element.removeAttribute(name)
    for (const child of [...element.childNodes]) {
      if (child.nodeType === 1) {
        const inner = child as Element
        if (allowedElements.has(inner.tagName.toLowerCase())) open.push(inner)
        else inner.remove()
      } else if (child.nodeType !== 3) child.parentNode?.removeChild(child)
    }
  }
}

function allowed(name: string, value: string): boolean {
  if (!allowedAttributes.has(name)) return false
  if (name === 'href' || name === 'xlink:href') return localReference.test(value)
  return name.startsWith('xmlns') || !outsideStyle.test(value)
}
