import { concat, formatShape, silu, stack, type Tensor } from '../../../core/index.ts'
import {
  Conv2d,
  crossScan2d,
  crossUnscan2d,
  Dropout,
  initialise,
  LayerNorm,
  Linear,
  logStates,
  type MambaOptions,
  Module,
  mambaSizes,
  type Parameter,
  parameter,
  routeCount,
  type ScanPattern,
  scanSteps,
  stepSizeBias,
} from '../../../nn/index.ts'
import { S4Layer } from './s4.ts'

export interface Ss2dOptions extends Omit<MambaOptions, 'layerScale'> {
  /** Side of the depthwise convolution; default 3. */
  readonly kernel?: number
  readonly dropout?: number
  /** Along which routes the map is scanned; default `cross`. */
  readonly scan?: ScanPattern
}

/** What mixers of maps share: [x, z] = W_in u; x' = silu(depthwise convolution of x); routes; norm; gate; W_out. */
abstract class MapMixer extends Module {
  readonly in_proj: Linear
  readonly conv2d: Conv2d
  readonly out_norm: LayerNorm
  readonly out_proj: Linear
  readonly #dropout: Dropout
  readonly #scan: ScanPattern

  constructor(
    readonly dim: number,
    { bias = false, convBias = true, kernel = 3, dropout = 0, scan = 'cross', ...options }: Ss2dOptions,
  ) {
    super()
    const { inner } = mambaSizes(dim, options)
    this.in_proj = new Linear(dim, 2 * inner, { bias })
    this.conv2d = new Conv2d(inner, inner, {
      kernel,
      padding: Math.floor((kernel - 1) / 2),
      groups: inner,
      bias: convBias,
    })
    this.out_norm = new LayerNorm(inner)
    this.out_proj = new Linear(inner, dim, { bias })
    this.#dropout = new Dropout(dropout)
    this.#scan = scan
  }

  /** Sequences [length, batch, inner] to sequences of the same shape, one a route. */
  protected abstract mix(sequences: readonly Tensor[]): Tensor[]

  /**
   * What each route reads, brought back to reading order: [height * width, batch, inner]; and the gate z.
   * @param map [batch, height, width, dim]
   */
  routes(map: Tensor): { routes: Tensor[]; gate: Tensor } {
    if (map.rank !== 4 || map.shape[3] !== this.dim)
      throw new Error(`ss2d: expected [batch, height, width, ${this.dim}], got ${formatShape(map.shape)}`)
    const [x, gate] = this.in_proj.forward(map).split(2, -1)
    const convolved = silu(this.conv2d.forward(x.rearrange('b h w e -> b e h w'))).rearrange('b e h w -> b h w e')
    const grid = [map.shape[1], map.shape[2]] as const
    return { routes: crossUnscan2d(this.mix(crossScan2d(convolved, this.#scan)), grid, this.#scan), gate }
  }

  /** [batch, height, width, dim] -> the same shape */
  override forward(map: Tensor): Tensor {
    const { routes, gate } = this.routes(map)
    const sum = routes.reduce((a, b) => a.add(b)).rearrange('(h w) b e -> b h w e', { h: map.shape[1] })
    return this.#dropout.forward(this.out_proj.forward(this.out_norm.forward(sum).mul(silu(gate))))
  }
}

/**
 * Selective scans of a map along several routes, each with its own selection, A and D; their sum, normalised and gated.
 * The routes are groups of channels of one loop. Names are those of the official state dict.
 * Source: Liu et al. 2024, "VMamba", section 4; JCruan519/VM-UNet, models/vmunet/vmamba.py
 */
export class SS2D extends MapMixer {
  /** [routes, rank + 2 states, inner] */
  readonly x_proj_weight: Parameter
  /** [routes, inner, rank] */
  readonly dt_projs_weight: Parameter
  readonly dt_projs_bias: Parameter
  /** [routes * inner, states] */
  readonly A_logs: Parameter
  readonly Ds: Parameter

  constructor(dim: number, options: Ss2dOptions = {}) {
    super(dim, options)
    const { inner, states, rank } = mambaSizes(dim, options)
    const routes = routeCount(options.scan ?? 'cross')
    const make = (initial: initialise.Initialiser, shape: readonly number[]): Parameter =>
      parameter(initial(shape), shape)
    const bound = rank ** -0.5
    this.x_proj_weight = make(initialise.uniform(-(inner ** -0.5), inner ** -0.5), [routes, rank + 2 * states, inner])
    this.dt_projs_weight = make(initialise.uniform(-bound, bound), [routes, inner, rank])
    this.dt_projs_bias = make(stepSizeBias(options.stepSizes), [routes, inner])
    this.A_logs = make(logStates, [routes * inner, states])
    this.Ds = make(initialise.constant(1), [routes * inner])
  }

  protected override mix(sequences: readonly Tensor[]): Tensor[] {
    const [routes, inner, rank] = this.dt_projs_weight.shape
    const states = this.A_logs.shape[1]
    const selections = sequences.map((u, k) => {
      const product = u.matmul(this.x_proj_weight.at(k), { transposeB: true })
      const [low, B, C] = product.split([rank, states, states], -1)
      return { delta: low.matmul(this.dt_projs_weight.at(k), { transposeB: true }), B, C }
    })
    const { output } = scanSteps(
      concat(sequences, -1),
      concat(
        selections.map(({ delta }) => delta),
        -1,
      ),
      this.A_logs.exp().neg(),
      stack(
        selections.map(({ B }) => B),
        2,
      ),
      stack(
        selections.map(({ C }) => C),
        2,
      ),
      { D: this.Ds, deltaBias: this.dt_projs_bias.reshape([routes * inner]), softplus: true },
    )
    return output.split(routes, -1)
  }
}

/** {@link SS2D} with a state-space model that does not depend on the input (S4D) in place of the selective scan. */
export class S4Map extends MapMixer {
  readonly ssm: S4Layer[]

  constructor(dim: number, options: Ss2dOptions = {}) {
    super(dim, options)
    const { inner, states } = mambaSizes(dim, options)
    this.ssm = Array.from({ length: routeCount(options.scan ?? 'cross') }, () => new S4Layer(inner, { states }))
  }

  protected override mix(sequences: readonly Tensor[]): Tensor[] {
    return sequences.map((sequence, k) =>
      this.ssm[k].forward(sequence.rearrange('l b e -> b e l')).rearrange('b e l -> l b e'),
    )
  }
}
