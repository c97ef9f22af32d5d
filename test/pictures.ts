import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'

/** A folder of small PNGs by class, each class a colour and a stripe direction that can be learned in moments. */
export async function pictureFolder(perClass = 24, side = 16): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tenet-pictures-'))
  const classes = { across: [220, 40, 40], down: [40, 60, 220] } as const
  for (const [name, colour] of Object.entries(classes)) {
    await mkdir(join(root, name))
    for (let i = 0; i < perClass; i++) {
      const pixels = Buffer.alloc(side * side * 3)
      for (let y = 0; y < side; y++)
        for (let x = 0; x < side; x++) {
          const striped = ((name === 'across' ? y : x) + i) % 4 < 2
          for (let c = 0; c < 3; c++)
            pixels[(y * side + x) * 3 + c] = striped ? colour[c] : 20 + ((i * 37 + x * 5 + y * 3) % 60)
        }
      await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
        .png()
        .toFile(join(root, name, `${String(i).padStart(3, '0')}.png`))
    }
  }
  return root
}
