import { decodeImage, imageToFloat32 } from '../../data/index.ts'
import { asBatch, type Classifier } from './classifier.ts'

/** A class and how sure the model is of it. */
export interface ClassProbability {
  readonly name: string
  readonly probability: number
}

/**
 * Names what a picture file shows.
 * @param top how many classes, likeliest first
 * @throws one line when the file is not a readable picture
 */
export async function predictFile(classifier: Classifier, file: string, top = 3): Promise<ClassProbability[]> {
  const { card } = classifier
  const image = await decodeImage(file, { size: card.size, channels: card.channels as 1 | 3 })
  const probabilities = await classifier.probabilities(asBatch(imageToFloat32(image, card.normalisation), card))
  return Array.from(probabilities.data as Float32Array, (probability, i) => ({ name: card.classes[i], probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top)
}
