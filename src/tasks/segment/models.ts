import { findModelKind, type ModelKind, modelKinds } from '../classify/index.ts'
import { DenseSegmenter, isDense } from './dense-segmenter.ts'
import type { SegmenterKind } from './network.ts'

/** A backbone with a head for every pixel. */
function densely(name: string, kind: ModelKind): SegmenterKind {
  return {
    summary: `${kind.summary}, with a head for every pixel`,
    defaults: kind.defaults,
    build: (format, { headWidth, ...options }) => {
      const backbone = kind.build(format, options)
      if (!isDense(backbone))
        throw new Error(`model '${name}' gives no maps of features; choose another to segment with`)
      return new DenseSegmenter(backbone, format, headWidth as number | undefined)
    },
    training: { ...kind.training, batchSize: Math.min(32, kind.training.batchSize), labelSmoothing: 0 },
  }
}

/** Segmenters that a floor above adds, found by name when one is asked for. */
export interface SegmenterProvider {
  /** The kind of this name; undefined when it has none. */
  find(name: string): Promise<SegmenterKind | undefined>
  names(): Promise<readonly string[]>
}

const providers: SegmenterProvider[] = []
const builtIn = ['resnet', 'vit'] as const

/** Adds segmenters to those that `--model` and saved segmenters can name. */
export function provideSegmenters(provider: SegmenterProvider): void {
  if (!providers.includes(provider)) providers.push(provider)
}

/** Names of the segmenters there are, beside backbones that give maps. */
export async function segmenterNames(): Promise<string[]> {
  const others = await Promise.all(providers.map(provider => provider.names()))
  return [...builtIn, ...others.flat().sort()]
}

/**
 * The kind of segmenter of a name: one of its own, or a backbone of the classification task with a head for every pixel.
 * @throws naming the segmenters there are
 */
export async function findSegmenterKind(name: string): Promise<SegmenterKind> {
  for (const provider of providers) {
    const kind = await provider.find(name)
    if (kind) return kind
  }
  if (Object.hasOwn(modelKinds, name)) return densely(name, modelKinds[name])
  const backbone = await findModelKind(name).catch(() => undefined)
  if (backbone) return densely(name, backbone)
  throw new Error(`there is no segmenter '${name}'; there are: ${(await segmenterNames()).join(', ')}`)
}
