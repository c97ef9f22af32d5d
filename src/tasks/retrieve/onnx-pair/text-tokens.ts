import { Tokenizer } from '@huggingface/tokenizers'

/** Settings of a text model that its files spread over several places. */
export interface TokenSettings {
  /** Most tokens of a text, special ones included. */
  readonly maxLength: number
  /** Fill every text up to `maxLength`, or only to the longest that it runs with. */
  readonly padding: 'longest' | 'maxLength'
}

/** Tokens of several texts, row-major [texts, length]. */
export interface TokenBatch {
  readonly length: number
  readonly ids: Int32Array
  /** 1 where there is a token, 0 where there is filling. */
  readonly mask: Int32Array
}

type Json = Readonly<Record<string, unknown>>

const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {})
const wholeAbove0 = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined

/** Lengths that kinds of models were trained with, for files that leave them out. */
const usualLengths: Readonly<Record<string, number>> = { clip: 77, siglip: 64, siglip2: 64 }

/**
 * How long texts may be and how they are filled up, from `tokenizer.json`, `tokenizer_config.json` and `config.json`.
 *
 * SigLIP reads its answer from the last position, so its texts are always filled up; CLIP looks back from the end-of-text token, so
 * what follows it does not matter.
 *
 * @param fixed length that the model itself insists on
 * @param masked whether the model takes an attention mask
 */
export function tokenSettings(
  files: { readonly tokenizer: Json; readonly tokenizerConfig: Json; readonly config: Json },
  { fixed, masked }: { readonly fixed?: number; readonly masked: boolean },
): TokenSettings {
  const { tokenizer, tokenizerConfig, config } = files
  const type = String(config['model_type'] ?? '')
  const textConfig = record(config['text_config'])
  const strategy = record(record(tokenizer['padding'])['strategy'])
  const told = [
    // Some write 1e30 where there is no limit.
    wholeAbove0(tokenizerConfig['model_max_length']),
    wholeAbove0(record(tokenizer['truncation'])['max_length']),
    wholeAbove0(textConfig['max_position_embeddings']) ?? usualLengths[type],
    wholeAbove0(strategy['Fixed']),
  ].filter(length => length !== undefined)
  const fills = fixed !== undefined || strategy['Fixed'] !== undefined || type.startsWith('siglip')
  return {
    maxLength: fixed ?? (told.length ? Math.min(...told) : 77),
    padding: fills || !(masked || type.startsWith('clip')) ? 'maxLength' : 'longest',
  }
}

/** Texts as token numbers, by a tokenizer of Hugging Face (`tokenizer.json`: BPE, WordPiece, Unigram). */
export class TextTokens {
  readonly settings: TokenSettings
  readonly #tokenizer: Tokenizer
  readonly #pad: number
  readonly #lowercase: boolean

  /** @throws one line when the tokenizer cannot be used; `file` names it */
  constructor(tokenizer: Json, tokenizerConfig: Json, settings: TokenSettings, file: string) {
    try {
      this.#tokenizer = new Tokenizer(tokenizer, tokenizerConfig)
      this.#tokenizer.encode('a')
    } catch (error) {
      throw new Error(
        `${file}: not a tokenizer that can be used (${(error as Error).message.split('\n')[0].slice(0, 200)})`,
      )
    }
    this.settings = settings
    this.#lowercase = tokenizerConfig['do_lower_case'] === true
    this.#pad = this.#padId(tokenizer, tokenizerConfig)
  }

  #padId(tokenizer: Json, tokenizerConfig: Json): number {
    const stated = record(tokenizer['padding'])['pad_id']
    if (typeof stated === 'number') return stated
    const token = tokenizerConfig['pad_token']
    const text = typeof token === 'string' ? token : record(token)['content']
    return (typeof text === 'string' ? this.#tokenizer.token_to_id(text) : undefined) ?? 0
  }

  /** Token numbers of one text. What is too long loses its end, but not the special tokens after it. */
  encode(text: string): number[] {
    const given = this.#lowercase ? text.toLowerCase() : text
    const { ids } = this.#tokenizer.encode(given)
    const { maxLength } = this.settings
    if (ids.length <= maxLength) return ids
    const bare = this.#tokenizer.encode(given, { add_special_tokens: false }).ids
    const after = trailing(ids, bare)
    return after >= maxLength
      ? ids.slice(0, maxLength)
      : [...ids.slice(0, maxLength - after), ...ids.slice(ids.length - after)]
  }

  batch(texts: readonly string[]): TokenBatch {
    const rows = texts.map(text => this.encode(text))
    const { maxLength, padding } = this.settings
    const length = padding === 'maxLength' ? maxLength : Math.max(1, ...rows.map(row => row.length))
    const ids = new Int32Array(texts.length * length).fill(this.#pad)
    const mask = new Int32Array(texts.length * length)
    for (const [i, row] of rows.entries()) {
      ids.set(row, i * length)
      mask.fill(1, i * length, i * length + row.length)
    }
    return { length, ids, mask }
  }
}

/** Special tokens behind a text's own. */
function trailing(ids: readonly number[], bare: readonly number[]): number {
  const special = ids.length - bare.length
  for (let before = 0; before <= special; before++)
    if (bare.every((id, i) => ids[before + i] === id)) return special - before
  return 0
}
