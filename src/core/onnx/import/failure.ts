/** What a well-formed model may use and Tenet does not read, by kind. */
export type Limit =
  | 'operator'
  | 'element type'
  | 'value type'
  | 'random draw'
  | 'shape that depends on data'
  | 'loop whose length depends on data'

/** A model that is well-formed, but uses something that Tenet does not read. */
export class UnsupportedModel extends Error {
  constructor(
    readonly limit: Limit,
    message: string,
  ) {
    super(message)
    this.name = 'UnsupportedModel'
  }
}

/** A value that decides shapes is only given at run time; bind it by `readModel(…, { values })`. */
export class ValueNeeded extends Error {
  constructor(
    message: string,
    /** The graph inputs it depends on. */
    readonly inputs: readonly string[],
  ) {
    super(message)
    this.name = 'ValueNeeded'
  }
}

const LONGEST = 80

/** A name out of a file, safe to print: quoted, without control characters, cut where it is long. */
export function quote(name: string): string {
  const printable = name.replace(/[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]/g, '?')
  return `'${printable.length > LONGEST ? `${printable.slice(0, LONGEST)}…` : printable}'`
}

/** The message of anything thrown, on one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.replace(/\s*[\r\n]+\s*/g, ' ')
}

/** The same error with a line that says where it happened, keeping its kind. */
export function within(place: string, error: unknown): Error {
  const message = messageOf(error)
  if (message.startsWith('onnx: ')) return error as Error
  const full = `onnx: ${place}: ${message}`
  if (error instanceof UnsupportedModel) return new UnsupportedModel(error.limit, full)
  if (error instanceof ValueNeeded) return new ValueNeeded(full, error.inputs)
  return new Error(full, { cause: error })
}
