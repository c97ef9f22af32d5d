import * as ort from 'onnxruntime-node'
import { describe, it } from 'vitest'
import { type BrowserPage, hasChromium, openBrowserPage } from '../../../test/browser/browser.ts'
import { expectClose, randomTensor } from '../../../test/check.ts'
import { hostTensor, Program, readModel } from '../../core/index.ts'
import { withSeed } from '../../nn/index.ts'
import { Classifier } from './classifier.ts'
import { exportClassifier } from './export.ts'
import { modelKinds } from './models.ts'

const classes = ['a', 'b', 'c']
const card = (model: string) => ({
  kind: 'classifier' as const,
  model,
  options: modelKinds[model].defaults({ channels: 1, size: [28, 28], classes: 3 }),
  channels: 1,
  size: [28, 28] as const,
  classes,
  normalisation: { mean: [0.5], std: [0.25] },
})

describe.each(Object.keys(modelKinds))('an exported %s', model => {
  const classifier = withSeed(4, () => new Classifier(card(model)))
  const images = randomTensor([3, 1, 28, 28], 5)
  const { model: bytes } = exportClassifier(classifier)

  it('gives the same logits in plain onnxruntime, for any batch size', async () => {
    const expected = (await classifier.logits(images)).numbers()
    const session = await ort.InferenceSession.create(bytes)
    const all = await session.run({ images: new ort.Tensor('float32', images.data as Float32Array, images.shape) })
    expectClose(all.logits.data as Float32Array, expected, 1e-4, 'logits')
    const one = await session.run({
      images: new ort.Tensor('float32', (images.data as Float32Array).slice(0, 784), [1, 1, 28, 28]),
    })
    expectClose(one.logits.data as Float32Array, expected.slice(0, 3), 1e-4, 'logits of one')
    await session.release()
  })

  it('reads back through the importer with the same logits', async () => {
    const read = readModel(bytes, { batch: 3 })
    const program = await Program.compile(
      Object.values(Object.fromEntries(read.inputs)),
      Object.values(Object.fromEntries(read.outputs)),
    )
    const [logits] = await program.run([hostTensor(images.data as Float32Array, images.shape)])
    expectClose(logits.numbers(), (await classifier.logits(images)).numbers(), 1e-4, 'logits')
    await program.release()
  })

  it.skipIf(!hasChromium)('gives the same logits in onnxruntime-web inside Chromium', async () => {
    const browser: BrowserPage = await openBrowserPage()
    try {
      browser.serve('model.onnx', bytes)
      const values = Array.from(images.data as Float32Array)
      const logits = await browser.page.evaluate(
        ([given, shape]) =>
          (globalThis as unknown as { runModel: (...args: unknown[]) => Promise<number[]> }).runModel(
            '/files/model.onnx',
            'images',
            given,
            shape,
          ),
        [values, [...images.shape]] as const,
      )
      expectClose(logits, (await classifier.logits(images)).numbers(), 1e-4, 'logits')
    } finally {
      await browser.close()
    }
  })
})
