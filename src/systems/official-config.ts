/**
 * The constructor arguments of an official configuration: values of JSON, or texts as Python prints them
 * (`True`, `None`, `[[3, 3], [3, 3]]`). An argument that is absent, null or `None` takes its fallback.
 */
export class OfficialConfig {
  /** @param system named in messages */
  constructor(
    readonly system: string,
    readonly values: Readonly<Record<string, unknown>>,
  ) {}

  #get(name: string): unknown {
    const value = this.values[name]
    return typeof value === 'string' ? fromPython(value) : (value ?? undefined)
  }

  #fail(name: string, expected: string): never {
    throw new Error(`${this.system}: '${name}' is ${JSON.stringify(this.values[name])}, expected ${expected}`)
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined
  }

  /** @throws when the value is no number, or is absent without a fallback */
  number(name: string, fallback?: number): number {
    const value = this.#get(name) ?? fallback
    return typeof value === 'number' ? value : this.#fail(name, 'a number')
  }

  /** @throws when the value is neither true nor false */
  boolean(name: string, fallback: boolean): boolean {
    const value = this.#get(name) ?? fallback
    return typeof value === 'boolean' ? value : this.#fail(name, 'true or false')
  }

  text(name: string, fallback: string): string {
    const value = this.#get(name) ?? fallback
    return typeof value === 'string' ? value : this.#fail(name, 'a text')
  }

  /** A list of numbers; one number counts as a list of that one. */
  numbers(name: string, fallback?: readonly number[]): number[] {
    const value = this.#get(name) ?? fallback
    const list: unknown[] = typeof value === 'number' ? [value] : Array.isArray(value) ? value : [undefined]
    return list.every(each => typeof each === 'number') ? (list as number[]) : this.#fail(name, 'a list of numbers')
  }

  /** Height and width: two numbers, or one for both. */
  pair(name: string, fallback?: number | readonly number[]): [number, number] {
    const [height, width = height] = this.numbers(name, typeof fallback === 'number' ? [fallback] : fallback)
    return [height, width]
  }

  /** A list whose entries are lists of numbers, or single numbers that count as lists of one. */
  lists(name: string, fallback?: readonly (readonly number[])[]): number[][] {
    const value = this.#get(name) ?? fallback
    if (!Array.isArray(value)) return this.#fail(name, 'a list of lists of numbers')
    return value.map((_, i) => new OfficialConfig(this.system, { [`${name}.${i}`]: value[i] }).numbers(`${name}.${i}`))
  }

  /** A list whose entries are pairs, or single numbers that count for both. */
  pairs(name: string, fallback: readonly (readonly [number, number])[]): (readonly [number, number])[] {
    const value = this.#get(name) ?? fallback
    if (!Array.isArray(value)) return this.#fail(name, 'a list')
    return value.map((_, i) => new OfficialConfig(this.system, { [`${name}.${i}`]: value[i] }).pair(`${name}.${i}`))
  }

  /** Nested arguments; none where they are absent. */
  record(name: string): OfficialConfig {
    const value = this.#get(name) ?? {}
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.#fail(name, 'named values')
    return new OfficialConfig(this.system, value as Record<string, unknown>)
  }
}

function fromPython(text: string): unknown {
  if (text === 'None') return undefined
  if (text === 'True' || text === 'False') return text === 'True'
  if (/^[[({].*[\])}]$/s.test(text) || /^[-+]?[\d.]+(e[-+]?\d+)?$/i.test(text))
    try {
      return JSON.parse(asJson(text))
    } catch {
      return text
    }
  return text
}

const asJson = (python: string): string =>
  python
    .replaceAll('(', '[')
    .replaceAll(')', ']')
    .replaceAll(/,\s*]/g, ']')
    .replaceAll("'", '"')
    .replaceAll(/\bTrue\b/g, 'true')
    .replaceAll(/\bFalse\b/g, 'false')
    .replaceAll(/\bNone\b/g, 'null')
