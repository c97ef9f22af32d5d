import { argMax, compile, hostTensor, silu, type Tensor } from '../../../core/index.ts'
import { RandomStream } from '../../../data/index.ts'
import {
  crossEntropy,
  Embedding,
  initialise,
  LayerNorm,
  Linear,
  logStates,
  Module,
  type Parameter,
  parameter,
  scanSteps,
  stepProjection,
  withSeed,
} from '../../../nn/index.ts'
import { trainArm } from '../../claims/training.ts'
import type { ClaimContext } from '../../system.ts'
import { S4Layer } from './s4.ts'

/** Sizes of the task: so many letters out of an alphabet, somewhere among blanks, to be told in order at the end. */
export interface CopyingOptions {
  /** Places of a sequence, those of the answer included; default 64. */
  readonly length?: number
  /** Letters to remember; default 8. */
  readonly letters?: number
  /** Default 8. */
  readonly alphabet?: number
  readonly steps?: number
  readonly batch?: number
  readonly learningRate?: number
  readonly seed?: number
}

/** A selective scan whose step sizes, B and C are linear in its input: the counterpart of {@link S4Layer}. */
export class S6Layer extends Module {
  readonly x_proj: Linear
  readonly dt_proj: Linear
  readonly A_log: Parameter
  readonly D: Parameter

  constructor(channels: number, { states = 16, rank = Math.ceil(channels / 32) } = {}) {
    super()
    this.x_proj = new Linear(channels, rank + 2 * states, { bias: false })
    this.dt_proj = stepProjection(rank, channels)
    this.A_log = parameter(logStates([channels, states]), [channels, states])
    this.D = parameter(initialise.constant(1)([channels]), [channels])
  }

  /** [batch, channels, length] -> the same shape */
  override forward(x: Tensor): Tensor {
    const u = x.moveAxis(-1, 0)
    const [rank, states] = [this.dt_proj.inFeatures, this.A_log.shape[1]]
    const [low, B, C] = this.x_proj.forward(u).split([rank, states, states], -1)
    const delta = low.matmul(this.dt_proj.weight, { transposeB: true })
    const A = this.A_log.exp().neg()
    return scanSteps(u, delta, A, B, C, { D: this.D, deltaBias: this.dt_proj.bias, softplus: true }).output.moveAxis(
      0,
      -1,
    )
  }
}

/** x + W_out silu(core(W_in LN(x))): no gate and no convolution, so that nothing but the core can select. */
class CoreBlock extends Module {
  readonly norm: LayerNorm
  readonly in_proj: Linear
  readonly core: S4Layer | S6Layer
  readonly out_proj: Linear

  constructor(dim: number, core: 's4' | 's6') {
    super()
    this.norm = new LayerNorm(dim)
    this.in_proj = new Linear(dim, 2 * dim)
    this.core = core === 's4' ? new S4Layer(2 * dim) : new S6Layer(2 * dim)
    this.out_proj = new Linear(2 * dim, dim)
  }

  override forward(x: Tensor): Tensor {
    const sequence = this.in_proj.forward(this.norm.forward(x)).swapAxes(1, 2)
    return x.add(this.out_proj.forward(silu(this.core.forward(sequence)).swapAxes(1, 2)))
  }
}

/** Two blocks over a sequence of tokens, the same for both cores. */
class SequenceModel extends Module {
  readonly embed: Embedding
  readonly blocks: CoreBlock[]
  readonly norm: LayerNorm
  readonly head: Linear

  constructor(core: 's4' | 's6', alphabet: number, { dim = 48, depth = 2 } = {}) {
    super()
    this.embed = new Embedding(alphabet + 2, dim)
    this.blocks = Array.from({ length: depth }, () => new CoreBlock(dim, core))
    this.norm = new LayerNorm(dim)
    this.head = new Linear(dim, alphabet)
  }

  /** Tokens [batch, length] -> scores of each place [batch, length, alphabet] */
  override forward(tokens: Tensor): Tensor {
    const mixed = this.blocks.reduce((x, block) => block.forward(x), this.embed.forward(tokens))
    return this.head.forward(this.norm.forward(mixed))
  }
}

/** Purpose number of the task's random stream; the data sets' own are small. */
const COPYING = 0x636f7079

/** Letters stand at random places in order, blanks elsewhere, and as many marks at the end ask for them. */
function sequences(
  first: number,
  count: number,
  { length, letters, alphabet, seed }: Required<Pick<CopyingOptions, 'length' | 'letters' | 'alphabet' | 'seed'>>,
): { tokens: Int32Array; answers: Int32Array } {
  const tokens = new Int32Array(count * length).fill(alphabet)
  const answers = new Int32Array(count * letters)
  for (let i = 0; i < count; i++) {
    const random = new RandomStream(seed, COPYING, 0, first + i)
    const places = random.shuffle(Array.from({ length: length - letters }, (_, at) => at)).slice(0, letters)
    places.sort((a, b) => a - b)
    places.forEach((place, letter) => {
      const value = random.integer(alphabet)
      tokens[i * length + place] = value
      answers[i * letters + letter] = value
    })
    tokens.fill(alphabet + 1, (i + 1) * length - letters, (i + 1) * length)
  }
  return { tokens, answers }
}

/**
 * Trains two layers on selective copying and gives the share of letters told right, in percent. A model that treats all steps
 * alike cannot skip the blanks, whose number varies; one whose steps depend on the input can.
 * Source: Gu & Dao 2023, "Mamba", section 3.1
 */
export async function selectiveCopying(
  core: 's4' | 's6',
  options: CopyingOptions = {},
  context: ClaimContext = { quick: false, progress: () => {} },
): Promise<number> {
  const { length = 64, letters = 8, alphabet = 8, steps = 2500, batch = 32, learningRate = 4e-3, seed = 0 } = options
  if (length < 2 * letters) throw new Error(`selectiveCopying: ${letters} letters have no room in ${length} places`)
  const sizes = { length, letters, alphabet, seed }
  const model = withSeed(seed, () => new SequenceModel(core, alphabet))
  const scores = (tokens: Tensor): Tensor => model.forward(tokens).slice(1, length - letters)
  const given = (first: number, count: number) => {
    const { tokens, answers } = sequences(first, count, sizes)
    return { tokens: hostTensor(tokens, [count, length]), answers: hostTensor(answers, [count, letters]) }
  }
  function* batches() {
    for (let i = 0; ; i++) yield given(i * batch, batch)
  }
  const loss = ({ tokens, answers }: Readonly<Record<string, Tensor>>) => ({
    loss: crossEntropy(scores(tokens).moveAxis(-1, 1), answers),
  })
  await trainArm({ model, loss, batches: batches(), steps, learningRate, seed }, context)
  const predict = compile((tokens: Tensor) => argMax(scores(tokens), -1))
  const { tokens, answers } = given(steps * batch, 256)
  const told = (await predict(tokens)).numbers()
  await predict.release()
  const right = answers.numbers().filter((answer, i) => answer === told[i]).length
  return (100 * right) / told.length
}
