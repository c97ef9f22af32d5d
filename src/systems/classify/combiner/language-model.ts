import { compile, concat, formatShape, full, hostTensor, relu, type Tensor, tensor } from '../../../core/index.ts'
import { crossEntropy, Dropout, Embedding, LayerNorm, Linear, Mlp, Module, seededUniform } from '../../../nn/index.ts'
import { CombinerAttention, type CombinerAttentionOptions } from './combiner-attention.ts'

export interface CombinerBlockOptions extends CombinerAttentionOptions {
  /** Width of the mlp's hidden layer; default 4 dim. */
  readonly hidden?: number
}

/** x + dropout(attention(norm(x))), then x + mlp(norm(x)) with ReLU. Source: Ren et al. 2021; google-research/combiner, layer.py */
export class CombinerBlock extends Module {
  readonly norm1: LayerNorm
  readonly attention: CombinerAttention
  readonly norm2: LayerNorm
  readonly mlp: Mlp
  readonly #dropout: Dropout

  constructor(options: CombinerBlockOptions) {
    super()
    const { dim, hidden = 4 * dim, dropout = 0 } = options
    this.norm1 = new LayerNorm(dim, { epsilon: 1e-6 })
    this.attention = new CombinerAttention({ ...options, out: dim })
    this.norm2 = new LayerNorm(dim, { epsilon: 1e-6 })
    this.mlp = new Mlp(dim, hidden, { activation: relu, dropout })
    this.#dropout = new Dropout(dropout)
  }

  /** @param x [batch, positions, dim]; `padding` as for {@link CombinerAttention} */
  override forward(x: Tensor, padding?: Tensor): Tensor {
    const attended = x.add(this.#dropout.forward(this.attention.forward(this.norm1.forward(x), padding)))
    return attended.add(this.mlp.forward(this.norm2.forward(attended)))
  }
}

/**
 * Positions [length, dim] as sines in the first half of the width and cosines in the second, wavelengths from 2 pi to
 * 20000 pi. Source: google-research/combiner, transformer_base.py (sinusoidal_init)
 */
export function positionTable(length: number, dim: number): Tensor {
  const half = Math.floor(dim / 2)
  const values = new Float32Array(length * dim)
  for (let p = 0; p < length; p++)
    for (let i = 0; i < half; i++) {
      const angle = p * 10000 ** (-i / Math.max(1, half - 1))
      values[p * dim + i] = Math.sin(angle)
      values[p * dim + half + i] = Math.cos(angle)
    }
  return tensor(values, [length, dim])
}

export interface CombinerLanguageModelOptions extends Omit<CombinerBlockOptions, 'causal' | 'out'> {
  /** Number of symbols. */
  readonly vocabulary: number
  readonly depth: number
}

/** Predicts each symbol of a sequence (text, pixels) from those before it. Source: Ren et al. 2021, section 5 */
export class CombinerLanguageModel extends Module {
  readonly embed: Embedding
  readonly layers: CombinerBlock[]
  readonly norm: LayerNorm
  readonly head: Linear

  constructor(readonly options: CombinerLanguageModelOptions) {
    super()
    const { vocabulary, dim, depth } = options
    // One vector more, for what stands before the first symbol.
    this.embed = new Embedding(vocabulary + 1, dim)
    this.layers = Array.from({ length: depth }, () => new CombinerBlock({ ...options, causal: true }))
    this.norm = new LayerNorm(dim, { epsilon: 1e-6 })
    this.head = new Linear(dim, vocabulary)
  }

  /**
   * @param symbols i32 [batch, length]
   * @returns scores [batch, length, vocabulary] of each symbol, from those before it
   * @throws when the length does not suit the pattern
   */
  override forward(symbols: Tensor): Tensor {
    if (symbols.rank !== 2)
      throw new Error(`combiner: expected symbols [batch, length], got ${formatShape(symbols.shape)}`)
    const [batch, length] = symbols.shape
    const start = full([batch, 1], this.options.vocabulary, symbols.dtype)
    const before = length === 1 ? start : concat([start, symbols.slice(1, 0, length - 1)], 1)
    const placed = this.embed.forward(before).add(positionTable(length, this.options.dim))
    return this.head.forward(this.norm.forward(this.layers.reduce((t, layer) => layer.forward(t), placed)))
  }

  /** Mean cross-entropy of symbols [batch, length] in bits (bits per dimension of pictures). */
  bits(symbols: Tensor): Tensor {
    const { vocabulary } = this.options
    const scores = this.forward(symbols).reshape([-1, vocabulary])
    return crossEntropy(scores, symbols.reshape([-1])).div(Math.LN2)
  }
}

export interface SampleOptions {
  readonly count: number
  readonly length: number
  readonly seed?: number
  /** Divides the scores; default 1. Near 0 the likeliest symbol is always taken. */
  readonly temperature?: number
  /** Symbols that every sample starts with. */
  readonly prompt?: ArrayLike<number>
}

/**
 * Draws sequences, one symbol after another.
 * @returns [count][length]
 */
export async function sampleSequences(model: CombinerLanguageModel, options: SampleOptions): Promise<Int32Array[]> {
  const { count, length, seed = 0, temperature = 1, prompt = [] } = options
  if (!(temperature > 0)) throw new Error(`combiner: the temperature must be positive, got ${temperature}`)
  const { vocabulary } = model.options
  const uniform = seededUniform(seed)
  const scores = compile((symbols: Tensor) => model.forward(symbols))
  const symbols = new Int32Array(count * length)
  for (let row = 0; row < count; row++) symbols.set(Array.from(prompt).slice(0, length), row * length)
  try {
    for (let i = prompt.length; i < length; i++) {
      const values = (await scores(hostTensor(symbols.slice(), [count, length]))).numbers()
      for (let row = 0; row < count; row++) {
        const from = (row * length + i) * vocabulary
        symbols[row * length + i] = draw(values.slice(from, from + vocabulary), temperature, uniform())
      }
    }
  } finally {
    await scores.release()
  }
  return Array.from({ length: count }, (_, row) => symbols.slice(row * length, (row + 1) * length))
}

/** The symbol at which the cumulative probability passes a uniform number. */
function draw(scores: ArrayLike<number>, temperature: number, uniform: number): number {
  const list = Array.from(scores)
  const largest = Math.max(...list)
  const shares = list.map(score => Math.exp((score - largest) / temperature))
  let left = uniform * shares.reduce((a, b) => a + b, 0)
  const found = shares.findIndex(share => {
    left -= share
    return left < 0
  })
  return found < 0 ? list.indexOf(largest) : found
}
