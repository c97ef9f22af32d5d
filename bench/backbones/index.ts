import { compile, hostTensor, multiplyAdds, placeholder, type Tensor } from '../../src/core/index.ts'
import {
  crossEntropy,
  type ImageBackbone,
  nameVariables,
  parameterCount,
  parametersOf,
  seededUniform,
  Vit,
  withSeed,
} from '../../src/nn/index.ts'
import { adamW, Optimizer } from '../../src/optim/index.ts'
import { loadSystems } from '../../src/systems/index.ts'
import { TrainStep } from '../../src/train/index.ts'
import { describeMachine } from '../report.ts'
import { median } from '../statistics.ts'

const format = { channels: 3, size: [64, 64] as const, classes: 10 }

/** One network's figures. */
export interface BackboneFigures {
  readonly name: string
  readonly parameters: number
  /** Of one picture's forward pass. */
  readonly multiplyAdds: number
  readonly forward: number
  readonly train: number
}

export interface BackboneRow extends BackboneFigures {
  /** The vision transformer of as many multiply-adds, measured in turns with it. */
  readonly vit: BackboneFigures & { readonly dim: number }
}

export interface BackboneReport {
  readonly suite: 'backbones'
  readonly machine: ReturnType<typeof describeMachine>
  readonly batch: number
  readonly results: readonly BackboneRow[]
  readonly failed: readonly { readonly name: string; readonly reason: string }[]
}

export interface BackboneBenchOptions {
  readonly filter?: RegExp
  readonly rounds: number
  readonly seconds: number
}

/** Pictures a call. */
const batch = 16
const depth = 6
const heads = 3

const costOf = (network: ImageBackbone): number =>
  multiplyAdds([network.forward(placeholder('images', [1, 3, ...format.size], 'f32'))])

const vitOf = (dim: number): Vit => new Vit({ ...format, patch: 8, dim, depth, heads })

/** The width whose vision transformer costs nearest to `wanted`. */
function equalVit(wanted: number): number {
  let best = 12
  for (let dim = 12; dim <= 768; dim += 12) {
    const miss = (width: number): number => Math.abs(Math.log(vitCost(width) / wanted))
    if (miss(dim) < miss(best)) best = dim
  }
  return best
}

/** By counting: 64 patches and a class token; products of the patches, the blocks (4 d^2 + 8 d^2, and attention) and the head. */
function vitCost(dim: number): number {
  const tokens = 65
  const block = tokens * 12 * dim * dim + 2 * tokens * tokens * dim
  return 64 * 192 * dim + depth * block + dim * format.classes
}

/** Values like those of normalised pictures, the same for every contestant. */
function pictureValues(): () => number {
  const uniform = seededUniform(7)
  return () => 4 * uniform() - 2
}

/** A network compiled both ways, with inputs. */
class Contestant {
  readonly network: ImageBackbone
  readonly #forward
  readonly #step: TrainStep
  readonly #images = hostTensor(Float32Array.from({ length: batch * 3 * 64 * 64 }, pictureValues()), [batch, 3, 64, 64])
  readonly #labels = hostTensor(
    Int32Array.from({ length: batch }, (_, i) => i % format.classes),
    [batch],
  )
  #steps = 0

  constructor(network: ImageBackbone) {
    this.network = nameVariables(network)
    this.#forward = compile((images: Tensor) => network.forward(images))
    this.#step = new TrainStep({
      loss: ({ images, labels }) => ({ loss: crossEntropy(network.forward(images), labels) }),
      optimizer: new Optimizer([{ parameters: parametersOf(network), rule: adamW(), learningRate: 1e-4 }]),
    })
  }

  async forward(): Promise<void> {
    await this.#forward(this.#images)
  }

  async train(): Promise<void> {
    await this.#step.run({ images: this.#images, labels: this.#labels }, this.#steps++)
  }

  async release(): Promise<void> {
    await this.#forward.release()
    await this.#step.release()
  }
}

/** Seconds of one call, by calling for so long. */
async function turn(call: () => Promise<void>, seconds: number): Promise<number> {
  const started = performance.now()
  let calls = 0
  do {
    await call()
    calls++
  } while (performance.now() - started < seconds * 1000)
  return (performance.now() - started) / 1000 / calls
}

/** Turns of both, so that what else the machine does meets both alike. @returns pictures a second of each */
async function inTurns(
  calls: readonly (() => Promise<void>)[],
  { rounds, seconds }: BackboneBenchOptions,
): Promise<number[]> {
  // The first call compiles.
  for (const call of calls) await call()
  const times: number[][] = calls.map(() => [])
  for (let round = 0; round < rounds; round++)
    for (const [i, call] of calls.entries()) times[i].push(await turn(call, seconds))
  return times.map(each => batch / median(each))
}

async function race(name: string, network: ImageBackbone, options: BackboneBenchOptions): Promise<BackboneRow> {
  const cost = costOf(network)
  const dim = equalVit(cost)
  const vit = vitOf(dim)
  const pair = [new Contestant(network), new Contestant(vit)]
  try {
    const [forward, vitForward] = await inTurns(
      pair.map(one => () => one.forward()),
      options,
    )
    const [train, vitTrain] = await inTurns(
      pair.map(one => () => one.train()),
      options,
    )
    return {
      name,
      parameters: parameterCount(network),
      multiplyAdds: cost,
      forward,
      train,
      vit: {
        name: `vit ${dim}`,
        dim,
        parameters: parameterCount(vit),
        multiplyAdds: costOf(vit),
        forward: vitForward,
        train: vitTrain,
      },
    }
  } finally {
    for (const one of pair) await one.release()
  }
}

/** Pictures a second of every backbone among the systems, forward and in training, against a vision transformer of equal cost. */
export async function backboneBench(options: BackboneBenchOptions): Promise<BackboneReport> {
  const systems = (await loadSystems()).filter(({ id, model }) => model && (options.filter?.test(id) ?? true))
  const results: BackboneRow[] = []
  const failed: { name: string; reason: string }[] = []
  for (const [i, { id, model }] of systems.entries()) {
    process.stderr.write(`[${i + 1}/${systems.length}] ${id}\n`)
    try {
      const network = withSeed(0, () => model!.build(format, model!.defaults(format)))
      results.push(await race(id, network, options))
    } catch (error) {
      failed.push({ name: id, reason: (error as Error).message.split('\n')[0] })
    }
  }
  return { suite: 'backbones', machine: describeMachine(), batch, results, failed }
}

/** The figures as a table. */
export function formatBackbones({ results, failed, batch: size }: BackboneReport): string {
  const headings = [
    'backbone',
    'parameters',
    'multiply-adds',
    'forward',
    'of ViT',
    'training',
    'of ViT',
    'ViT of equal cost',
  ]
  const share = (a: number, b: number): string => `${(a / b).toFixed(2)}x`
  const rows = results.map(({ vit, ...own }) => [
    own.name,
    `${(own.parameters / 1e6).toFixed(2)} M`,
    `${(own.multiplyAdds / 1e6).toFixed(0)} M`,
    `${own.forward.toFixed(0)}/s`,
    share(own.forward, vit.forward),
    `${own.train.toFixed(0)}/s`,
    share(own.train, vit.train),
    `${vit.dim} wide, ${(vit.multiplyAdds / 1e6).toFixed(0)} M, ${vit.forward.toFixed(0)}/s and ${vit.train.toFixed(0)}/s`,
  ])
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map(row => row[i].length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd()
  return [
    `pictures of 64x64 in batches of ${size}, forward and training steps`,
    line(headings),
    ...rows.map(line),
    ...failed.map(({ name, reason }) => `${name}: ${reason}`),
  ].join('\n')
}
