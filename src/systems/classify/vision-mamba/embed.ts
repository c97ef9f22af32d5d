import { compile, formatShape, type HostTensor, type ProgramOptions, type Tensor } from '../../../core/index.ts'
import type { ImageBackbone } from '../../../nn/index.ts'

/**
 * Turns pictures into vectors.
 * @param pictures [count, channels, height, width]
 * @returns [count, width of the features]
 * @throws when a value is not finite, saying where: one would spread through a scan to everything after it
 */
export async function embedPictures(
  model: ImageBackbone,
  pictures: HostTensor,
  options: ProgramOptions = {},
): Promise<HostTensor> {
  if (pictures.shape.length !== 4)
    throw new Error(
      `embedPictures: expected pictures [count, channels, height, width], got ${formatShape(pictures.shape)}`,
    )
  const values = pictures.numbers()
  const odd = values.findIndex(value => !Number.isFinite(value))
  if (odd >= 0) {
    const perPicture = values.length / pictures.shape[0]
    throw new Error(
      `embedPictures: picture ${Math.floor(odd / perPicture)} holds ${values[odd]} at value ${odd % perPicture}; pictures must be finite`,
    )
  }
  const embed = compile((images: Tensor) => model.features(images), options)
  try {
    return await embed(pictures)
  } finally {
    await embed.release()
  }
}
