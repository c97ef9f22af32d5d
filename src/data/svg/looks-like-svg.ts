/** Whether a file's bytes begin like an SVG document and hold its root element. */
export function looksLikeSvg(bytes: Uint8Array): boolean {
  const head = new TextDecoder()
    .decode(bytes.subarray(0, 4096))
    .replace(/^\uFEFF/, '')
    .trimStart()
  return /^<(?:\?xml|!doctype\s+svg|!--|svg[\s>])/i.test(head) && /<svg[\s>]/i.test(new TextDecoder().decode(bytes))
}
