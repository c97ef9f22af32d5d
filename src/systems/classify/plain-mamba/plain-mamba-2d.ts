import { concat, formatShape, gather, silu, stack, type Tensor, tensor } from '../../../core/index.ts'
import {
  Conv2d,
  initialise,
  Linear,
  logStates,
  type MambaOptions,
  Module,
  mambaSizes,
  type Parameter,
  parameter,
  scanSteps,
  stepProjection,
} from '../../../nn/index.ts'
import { type GridPaths, gridPaths, MOVES, type PathFamily } from './snake-orders.ts'

/** Token sequences, time first: what each token puts into the scan and how it is read. */
export interface ScanInputs {
  /** [tokens, batch, channels] */
  readonly u: Tensor
  /** [tokens, batch, channels], before bias and softplus */
  readonly delta: Tensor
  /** [tokens, batch, states] */
  readonly B: Tensor
  readonly C: Tensor
}

export interface DirectionAwareOptions {
  /** [channels, states] */
  readonly A: Tensor
  readonly D: Tensor
  readonly deltaBias?: Tensor
  /** A vector for each of the five {@link MOVES} [5, states], added to B; default none. */
  readonly directions?: Tensor
  /** Whether step sizes, B and C travel along the path with their tokens; default true. Official weights leave them in reading order. */
  readonly aligned?: boolean
}

/**
 * The sum of four selective scans of a grid's tokens along as many paths. B of a step is what its token gives, plus a
 * learned vector for the move that led to it. All paths share their parameters; they run as four groups of channels of
 * one loop. Source: Yang et al. 2024, "PlainMamba", section 3.3
 * @returns [tokens, batch, channels] in reading order
 */
export function directionAwareScan2d(
  { u, delta, B, C }: ScanInputs,
  paths: GridPaths,
  { A, D, deltaBias, directions, aligned = true }: DirectionAwareOptions,
): Tensor {
  const routes = paths.order.map((_, k) => k)
  const along = (t: Tensor, k: number): Tensor => gather(t, indices(paths.order[k]), 0)
  const moved = (t: Tensor): Tensor[] => routes.map(k => (aligned ? along(t, k) : t))
  const four = (t: Tensor): Tensor => concat(new Array<Tensor>(routes.length).fill(t), 0)
  const into = moved(B).map((t, k) =>
    directions ? t.add(gather(directions, indices(paths.direction[k]), 0).expandDims(1)) : t,
  )
  const { output } = scanSteps(
    concat(
      routes.map(k => along(u, k)),
      -1,
    ),
    concat(moved(delta), -1),
    four(A),
    stack(into, 2),
    stack(moved(C), 2),
    { D: four(D), deltaBias: deltaBias && four(deltaBias), softplus: true },
  )
  return output
    .split(routes.length, -1)
    .map((y, k) => gather(y, indices(paths.inverse[k]), 0))
    .reduce((a, b) => a.add(b))
}

const indices = (values: readonly number[]): Tensor => tensor(Int32Array.from(values), [values.length])

export interface PlainMamba2dOptions extends Omit<MambaOptions, 'kernel' | 'stepSizes'> {
  /** Side of the depthwise convolution, odd; default 7. */
  readonly kernel?: number
  /** See {@link DirectionAwareOptions}; default true. */
  readonly aligned?: boolean
  /** Which paths the scan takes; default `snake`. */
  readonly paths?: PathFamily
  /** Whether B gets a learned vector for the move that led to a token; default true. */
  readonly directionAware?: boolean
}

/**
 * Mixes the tokens of a grid: [x, z] = W_in tokens; x' = silu(depthwise convolution of x); step sizes, B and C linear in x';
 * the sum of four scans of x', gated by silu(z); W_out. The bias of the step sizes enters twice, in the projection and in the
 * scan, as in the official code. Source: Yang et al. 2024, "PlainMamba", section 3.2
 */
export class PlainMamba2d extends Module {
  readonly in_proj: Linear
  readonly conv2d: Conv2d
  readonly x_proj: Linear
  readonly dt_proj: Linear
  readonly A_log: Parameter
  readonly D: Parameter
  readonly out_proj: Linear
  readonly direction_Bs?: Parameter
  readonly gamma?: Parameter
  readonly #aligned: boolean
  readonly #paths: PathFamily

  /** @throws when the kernel is even or `expand * dim` is no whole number */
  constructor(
    readonly dim: number,
    options: PlainMamba2dOptions = {},
  ) {
    super()
    const { bias = true, convBias = true, layerScale, aligned = true, paths = 'snake', directionAware = true } = options
    const { inner, states, rank } = mambaSizes(dim, options)
    const { kernel = 7 } = options
    if (kernel % 2 !== 1) throw new Error(`plainMamba: the convolution's side must be odd, got ${kernel}`)
    this.in_proj = new Linear(dim, 2 * inner, { bias })
    this.conv2d = new Conv2d(inner, inner, { kernel, padding: (kernel - 1) / 2, groups: inner, bias: convBias })
    this.x_proj = new Linear(inner, rank + 2 * states, { bias: false })
    this.dt_proj = stepProjection(rank, inner)
    this.A_log = parameter(logStates([inner, states]), [inner, states])
    this.D = parameter(initialise.constant(1)([inner]), [inner])
    this.out_proj = new Linear(inner, dim, { bias })
    if (directionAware) {
      const shape = [MOVES.length, states]
      this.direction_Bs = parameter(initialise.truncatedNormal(0.02)(shape), shape)
    }
    if (layerScale !== undefined) this.gamma = parameter(initialise.constant(layerScale)([dim]), [dim])
    this.#aligned = aligned
    this.#paths = paths
  }

  /**
   * @param tokens [batch, rows * columns, dim] in reading order
   * @param grid rows and columns
   * @throws when the tokens do not fill the grid
   */
  override forward(tokens: Tensor, [height, width]: readonly [number, number]): Tensor {
    if (tokens.rank !== 3 || tokens.shape[2] !== this.dim || tokens.shape[1] !== height * width)
      throw new Error(
        `plainMamba: expected [batch, ${height * width}, ${this.dim}] for a grid of ${height}x${width}, got ${formatShape(tokens.shape)}`,
      )
    const [x, gate] = this.in_proj.forward(tokens).split(2, -1)
    const map = this.conv2d.forward(x.rearrange('b (h w) e -> b e h w', { h: height }))
    const u = silu(map).rearrange('b e h w -> (h w) b e')
    const [rank, states] = [this.dt_proj.inFeatures, this.A_log.shape[1]]
    const [low, B, C] = this.x_proj.forward(u).split([rank, states, states], -1)
    const mixed = directionAwareScan2d(
      { u, delta: this.dt_proj.forward(low), B, C },
      gridPaths(height, width, this.#paths),
      {
        A: this.A_log.exp().neg(),
        D: this.D,
        deltaBias: this.dt_proj.bias,
        directions: this.direction_Bs,
        aligned: this.#aligned,
      },
    )
    const output = this.out_proj.forward(mixed.swapAxes(0, 1).mul(silu(gate)))
    return this.gamma ? output.mul(this.gamma) : output
  }
}
