import { type ExportedModel, softmax } from '../../core/index.ts'
import { exportModel } from '../../core/onnx/export.ts'
import type { Classifier } from './classifier.ts'

export interface ExportClassifierOptions {
  /** `logits` or `probabilities`; default logits. */
  readonly output?: 'logits' | 'probabilities'
  /** Write the weights to a file beside the model, of this name. */
  readonly dataLocation?: string
}

/**
 * A classifier as an ONNX model with an open batch: input `images` [batch, channels, height, width], normalised as its
 * card says, and one output named for what it holds.
 */
export function exportClassifier(
  classifier: Classifier,
  { output = 'logits', dataLocation }: ExportClassifierOptions = {},
): ExportedModel {
  const { channels, size } = classifier.card
  return exportModel(
    ({ images }) => {
      const logits = classifier.network.forward(images)
      return { [output]: output === 'logits' ? logits : softmax(logits, -1) }
    },
    { images: { shape: [-1, channels, ...size] } },
    { parameters: dataLocation ? 'beside' : 'inside', dataLocation },
  )
}
