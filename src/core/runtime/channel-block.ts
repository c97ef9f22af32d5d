import { writeModel } from '../onnx/write.ts'
import type { Primitive } from '../primitive.ts'
import { apply, placeholder } from '../tensor.ts'
import type { Runtime } from './backend.ts'

const CHANNELS = 64

/** Moves an image of two columns into the runtime's blocked layout. Exists to see which one that is. */
const toBlocks: Primitive = {
  name: 'toBlocks',
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  lower: (to, [x]) => to.emit('ReorderInput', [x], {}, 'com.microsoft.nchwc'),
  evaluate: ([x]) => x.data.slice(),
}

/**
 * How many channels the runtime's convolution kernels keep side by side on this processor (8 or 16 with AVX2 or AVX-512):
 * the layout of their blocked form depends on it. 0 where there is no such form.
 */
export async function probeChannelBlock({ InferenceSession, Tensor }: Runtime): Promise<number> {
  const image = placeholder('x', [1, CHANNELS, 1, 2])
  const blocks = apply(toBlocks, [image], {})
  const { bytes } = writeModel([{ name: 'x', tensor: image }], [{ name: 'y', tensor: blocks }])
  try {
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 4, intraOpNumThreads: 1 })
    const data = Float32Array.from({ length: 2 * CHANNELS }, (_, i) => i)
    const { y } = await session.run({ x: new Tensor('float32' as never, data as never, image.shape) })
    await session.release()
    // Channel c, column w holds 2c+w, so 1 is the second column of channel 0: it stands after the first block.
    const block = Array.from(y.data as Float32Array).indexOf(1)
    return block === 8 || block === 16 ? block : 0
  } catch {
    return 0
  }
}
