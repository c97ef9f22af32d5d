import { gather, type Tensor, tensor } from '../../../core/index.ts'
import { Conv2d, initialise, LayerNorm, Linear, Mlp, Module, type Parameter, parameter } from '../../../nn/index.ts'
import { regionPartition } from '../../../nn/regions.ts'
import { routedAttention, TopKRouter } from '../../../nn/routing-attention.ts'

const DIM = 32
const HEADS = 4

/** Which regions each region looks at: those that fit by content, or always the same. */
export type BoardRouting = 'content' | readonly (readonly number[])[]

/** Attention over routed regions, without convolutions through which regions could leak into each other. */
class BoardAttention extends Module {
  readonly qkv: Linear
  readonly wo: Linear
  readonly router: TopKRouter
  readonly #fixed?: Tensor

  constructor(k: number, routing: BoardRouting) {
    super()
    this.qkv = new Linear(DIM, 3 * DIM)
    this.wo = new Linear(DIM, DIM)
    this.router = new TopKRouter(DIM, k)
    if (routing !== 'content') this.#fixed = tensor(Int32Array.from(routing.flat()), [1, routing.length, k])
  }

  /** @param x [batch, regions, tokens, dim] */
  override forward(x: Tensor): { output: Tensor; indices: Tensor } {
    const [query, key, value] = this.qkv.forward(x).split(3, -1)
    const fixed = this.#fixed
    const indices = fixed
      ? fixed.broadcastTo([x.shape[0], ...fixed.shape.slice(1)])
      : this.router.forward(query.mean(2), key.mean(2)).indices
    const { output } = routedAttention(query, key, value, indices, { heads: HEADS, scale: DIM ** -0.5 })
    return { output: this.wo.forward(output), indices }
  }
}

class BoardBlock extends Module {
  readonly norm1 = new LayerNorm(DIM, { epsilon: 1e-6 })
  readonly attn: BoardAttention
  readonly norm2 = new LayerNorm(DIM, { epsilon: 1e-6 })
  readonly mlp = new Mlp(DIM, 3 * DIM)

  constructor(k: number, routing: BoardRouting) {
    super()
    this.attn = new BoardAttention(k, routing)
  }

  override forward(x: Tensor): { output: Tensor; indices: Tensor } {
    const { output, indices } = this.attn.forward(this.norm1.forward(x))
    const attended = x.add(output)
    return { output: attended.add(this.mlp.forward(this.norm2.forward(attended))), indices }
  }
}

/** Gives each region of a board its class scores; what it knows of other regions it knows by routed attention only. */
export class BoardReader extends Module {
  readonly patches = new Conv2d(1, DIM, { kernel: 4, stride: 4 })
  readonly offsets: Parameter
  readonly blocks: BoardBlock[]
  readonly norm = new LayerNorm(DIM, { epsilon: 1e-6 })
  readonly head: Linear
  readonly #regions: number

  /**
   * @param options.classes number of concepts
   * @param options.regions along a side of the board
   * @param options.tokens of a region
   * @param options.k regions that each region looks at
   */
  constructor({
    classes,
    regions,
    tokens,
    k,
    routing,
  }: {
    readonly classes: number
    readonly regions: number
    readonly tokens: number
    readonly k: number
    readonly routing: BoardRouting
  }) {
    super()
    this.offsets = parameter(initialise.truncatedNormal(0.02)([tokens, DIM]), [tokens, DIM])
    this.blocks = [0, 1].map(() => new BoardBlock(k, routing))
    this.head = new Linear(DIM, classes)
    this.#regions = regions
  }

  /**
   * @param boards [batch, 1, side, side]
   * @returns scores [batch, regions, classes], and the regions that each looked at in each block [batch, regions, k]
   */
  override forward(boards: Tensor): { scores: Tensor; looked: Tensor[] } {
    const map = this.patches.forward(boards).rearrange('b c h w -> b h w c')
    let x = regionPartition(map, [this.#regions, this.#regions]).add(this.offsets)
    const looked = this.blocks.map(block => {
      const { output, indices } = block.forward(x)
      x = output
      return indices
    })
    return { scores: this.head.forward(this.norm.forward(x).mean(2)), looked }
  }

  /** Scores of some regions only: [batch, 2, classes]. @param regions i32 [batch, 2] */
  scoresAt(boards: Tensor, regions: Tensor): Tensor {
    return gather(this.forward(boards).scores, regions, 1, { batchDims: 1 })
  }
}
