import type { ValueInfoProto } from 'onnx-buf'
import { formatShape, type Shape } from '../../shape.ts'
import { quote } from './failure.ts'
import { readDims } from './tensor-data.ts'

/** How the sizes that a model leaves open are settled. */
export interface InputSizes {
  /**
   * Size of the batch: the open dimension that stands first in an input, or else the only open one.
   * Left out, the batch stays symbolic.
   */
  readonly batch?: number
  /** Sizes of open dimensions by the name the model gives them, such as `{ sequence: 128 }`. */
  readonly dims?: Readonly<Record<string, number>>
  /** Whole shapes by input name; -1 is the symbolic batch. */
  readonly shapes?: Readonly<Record<string, Shape>>
}

/** The declared sizes of a value: numbers, names of open dimensions, '' for those without a name; undefined without a shape. */
export function readShape({ type }: ValueInfoProto): (number | string)[] | undefined {
  const shape = type?.value.case === 'tensorType' ? type.value.value.shape : undefined
  return shape?.dim.map(({ value }) => {
    if (value.case === 'dimValue') return readDims([value.value])[0]
    return value.case === 'dimParam' ? value.value.slice(0, 256) : ''
  })
}

/** Sizes like `12*batch`, as Tenet writes multiples of the batch. */
const multiple = /^(\d{1,9})\*(.+)$/

const baseOf = (name: string): string => multiple.exec(name)?.[2] ?? name
const factorOf = (name: string): number => Number(multiple.exec(name)?.[1] ?? 1)

/** An entry of a record by a name out of a file, which may be that of something every object inherits. */
export const ownEntry = <T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined =>
  record && Object.hasOwn(record, name) ? record[name] : undefined

/** Settles the open sizes of a model's inputs. */
export class SizeReader {
  /** Name of the batch dimension; '' where it has none, undefined where the model has no open dimension. */
  readonly #batchName: string | undefined

  constructor(
    inputs: readonly ValueInfoProto[],
    readonly options: InputSizes,
  ) {
    for (const [what, size] of [['batch', options.batch] as const, ...Object.entries(options.dims ?? {})])
      if (size !== undefined && !(Number.isInteger(size) && size >= 0))
        throw new Error(`onnx: the size ${size} given for ${quote(what)} is no whole number of at least 0`)
    const open = inputs
      .filter(({ name }) => !ownEntry(options.shapes, name))
      .flatMap(info => (readShape(info) ?? []).map((dim, axis) => ({ dim, axis })))
      .flatMap(({ dim, axis }) => (typeof dim === 'string' ? [{ name: baseOf(dim), axis }] : []))
      .filter(({ name }) => ownEntry(options.dims, name) === undefined)
    const first = open.find(({ axis }) => axis === 0)
    const names = new Set(open.map(({ name }) => name))
    this.#batchName = first?.name ?? (names.size === 1 && open.length > 0 ? open[0].name : undefined)
  }

  /** The shape of an input, with the batch symbolic (-1) unless it was given. */
  shape(info: ValueInfoProto): Shape {
    const chosen = ownEntry(this.options.shapes, info.name)
    const declared = readShape(info)
    if (chosen) {
      this.check(info, chosen)
      return chosen
    }
    if (!declared) throw new Error('the model does not state its shape; give it by { shapes }')
    const shape = declared.map((dim, axis) => (typeof dim === 'number' ? dim : this.#open(dim, axis, declared)))
    readDims(shape.map(dim => BigInt(Math.abs(dim))))
    return shape
  }

  #open(dim: string, axis: number, declared: readonly (number | string)[]): number {
    const name = baseOf(dim)
    const size = ownEntry(this.options.dims, name)
    if (size !== undefined) return size * factorOf(dim)
    // Without a name nothing says that an inner dimension is the batch.
    if (name === this.#batchName && (name !== '' || axis === 0)) return (this.options.batch ?? -1) * factorOf(dim)
    const sizes = declared.map(each => (typeof each === 'number' ? each : each || '?'))
    throw new Error(
      `axis ${axis} of [${sizes}] has no size; give it by ${dim ? `{ dims: { ${quote(name)}: … } } or ` : ''}{ shapes }`,
    )
  }

  /** Throws where a shape contradicts what the model states. */
  check(info: ValueInfoProto, shape: Shape): void {
    const declared = readShape(info)
    if (!declared) return
    const fits =
      declared.length === shape.length &&
      declared.every((dim, axis) => typeof dim !== 'number' || shape[axis] < 0 || dim === shape[axis])
    if (!fits)
      throw new Error(`the model states [${declared.map(dim => dim || '?')}], the shape given is ${formatShape(shape)}`)
  }
}
