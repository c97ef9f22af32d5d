import sharp from 'sharp'

// The process in which SecondTry draws with librsvg.

export interface SecondTryRequest {
  readonly svg: string
  readonly size: number
}

/** RGB pixels, [size, size, 3], or the reason why there are none. */
export type SecondTryReply = { readonly pixels: Uint8Array } | { readonly reason: string }

/** Dots an inch at which a length of one pixel is one pixel. */
const naturalDensity = 72

async function draw({ svg, size }: SecondTryRequest): Promise<Uint8Array> {
  const input = Buffer.from(svg)
  const { width, height } = await sharp(input).metadata()
  const density = Math.min(100_000, Math.max(1, (naturalDensity * size) / Math.max(width, height)))
  const pixels = await sharp(input, { density, limitInputPixels: 64_000_000 })
    .resize(size, size, { fit: 'contain', background: 'white' })
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .raw()
    .toBuffer()
  return new Uint8Array(pixels)
}

process.on('message', async (request: SecondTryRequest) => {
  try {
    process.send?.({ pixels: await draw(request) } satisfies SecondTryReply)
  } catch (error) {
    process.send?.({ reason: `it cannot be drawn (${(error as Error).message})` } satisfies SecondTryReply)
  }
})
process.on('disconnect', () => process.exit(0))
