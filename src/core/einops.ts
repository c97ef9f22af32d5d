import { mul } from './ops/elementwise.ts'
import { at, broadcastTo, reshape, transpose } from './ops/layout.ts'
import { matmul } from './ops/matmul.ts'
import { max, mean, min, prod, sum } from './ops/reduce.ts'
import { formatShape, sizeOf } from './shape.ts'
import { asTensor, type Tensor, type TensorLike } from './tensor.ts'

/** One axis of a pattern: the names merged into it (none for a size-1 axis). `...` stands for `ELLIPSIS`. */
type Axis = readonly string[]
const ELLIPSIS = '…'

interface Pattern {
  readonly left: readonly Axis[]
  readonly right: readonly Axis[]
}

function fail(word: string, pattern: string, problem: string, x?: Tensor): never {
  throw new Error(`${word} '${pattern}'${x ? ` on ${formatShape(x.shape)}` : ''}: ${problem}`)
}

function parseSide(word: string, pattern: string, side: string): Axis[] {
  const axes: string[][] = []
  let group: string[] | undefined
  for (const token of side.replaceAll('...', ` ${ELLIPSIS} `).match(/[()]|[^\s()]+/g) ?? []) {
    if (token === '(') {
      if (group) fail(word, pattern, 'groups cannot be nested')
      group = []
    } else if (token === ')') {
      if (!group) fail(word, pattern, "')' without '('")
      axes.push(group)
      group = undefined
    } else if (token === '1') {
      if (!group) axes.push([])
    } else if (/^[A-Za-z_]\w*$/.test(token) || token === ELLIPSIS) {
      if (group) group.push(token)
      else axes.push([token])
    } else fail(word, pattern, `'${token}' is not an axis name`)
  }
  if (group) fail(word, pattern, "'(' without ')'")
  const names = axes.flat()
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice) fail(word, pattern, `axis '${twice}' stands twice on one side`)
  return axes
}

const parsed = new Map<string, Pattern>()

function parse(word: string, pattern: string): Pattern {
  const known = parsed.get(pattern)
  if (known) return known
  const sides = pattern.split('->')
  if (sides.length !== 2) fail(word, pattern, "expected exactly one '->'")
  const result = { left: parseSide(word, pattern, sides[0]), right: parseSide(word, pattern, sides[1]) }
  parsed.set(pattern, result)
  return result
}

/** Gives the axes that `...` stands for names of their own. */
function expandEllipsis(axes: readonly Axis[], count: number): Axis[] {
  const hidden = Array.from({ length: count }, (_, i) => `${ELLIPSIS}${i}`)
  return axes.flatMap(axis => {
    if (!axis.includes(ELLIPSIS)) return [axis]
    if (axis.length === 1) return hidden.map(name => [name])
    return [axis.flatMap(name => (name === ELLIPSIS ? hidden : [name]))]
  })
}

interface Resolved {
  readonly left: readonly Axis[]
  readonly right: readonly Axis[]
  readonly sizes: ReadonlyMap<string, number>
}

/** Works out the size of every name on the left, from the tensor and the sizes given. */
function resolve(word: string, pattern: string, x: Tensor, given: Record<string, number>): Resolved {
  const { left, right } = parse(word, pattern)
  const dots = left.some(axis => axis.includes(ELLIPSIS))
  if (dots && left.some(axis => axis.length > 1 && axis.includes(ELLIPSIS)))
    fail(word, pattern, "'...' cannot stand in a group on the left")
  if (!dots && right.some(axis => axis.includes(ELLIPSIS))) fail(word, pattern, "'...' stands on the right only")
  const count = x.rank - left.length + (dots ? 1 : 0)
  if (count < 0 || (!dots && count !== 0))
    fail(word, pattern, `the left side names ${left.length} axes, the tensor has ${x.rank}`, x)
  const axes = expandEllipsis(left, count)
  const sizes = new Map(Object.entries(given))
  axes.forEach((names, axis) => {
    const dim = x.shape[axis]
    const unknown = names.filter(name => !sizes.has(name))
    const known = sizeOf(names.filter(name => sizes.has(name)).map(name => sizes.get(name)!))
    if (unknown.length > 1) fail(word, pattern, `sizes of '${unknown.join("' and '")}' are needed: pass all but one`, x)
    if (unknown.length === 1) {
      if (known === 0 || dim % known !== 0)
        fail(word, pattern, `axis ${axis} of size ${dim} does not divide by ${known}`, x)
      sizes.set(unknown[0], dim / known)
    } else if (known !== dim) fail(word, pattern, `axis ${axis} has size ${dim}, but the pattern makes it ${known}`, x)
  })
  return { left: axes, right: expandEllipsis(right, count), sizes }
}

const shapeOf = (axes: readonly Axis[], sizes: ReadonlyMap<string, number>): number[] =>
  axes.map(names => sizeOf(names.map(name => sizes.get(name)!)))

function unknownNames(word: string, pattern: string, resolved: Resolved, allowNew: boolean): string[] {
  const onLeft = new Set(resolved.left.flat())
  const extra = resolved.right.flat().filter(name => !onLeft.has(name))
  if (!allowNew && extra.length) fail(word, pattern, `'${extra.join("', '")}' stands on the right only`)
  for (const name of extra)
    if (!resolved.sizes.has(name)) fail(word, pattern, `size of the new axis '${name}' is needed`)
  return extra
}

/**
 * Reshapes and reorders axes by name: `rearrange(x, 'b n (h d) -> b h n d', { h: 8 })`.
 * `(a b)` is one axis made of two, `1` or `()` a size-1 axis, `...` any axes that stay as they are.
 * @throws when the pattern does not fit, showing pattern and shape. Notation: einops (Rogozhnikov 2022)
 */
export function rearrange(x: TensorLike, pattern: string, sizes: Record<string, number> = {}): Tensor {
  const input = asTensor(x)
  const resolved = resolve('rearrange', pattern, input, sizes)
  unknownNames('rearrange', pattern, resolved, false)
  const from = resolved.left.flat()
  const to = resolved.right.flat()
  const lost = from.filter(name => !to.includes(name))
  if (lost.length)
    fail('rearrange', pattern, `'${lost.join("', '")}' is missing on the right; use reduce to sum it away`)
  return rebuild(
    reshape(
      input,
      from.map(name => resolved.sizes.get(name)!),
    ),
    from,
    to,
    resolved,
  )
}

/** From one axis a name to the right side's order and groups. */
function rebuild(apart: Tensor, from: readonly string[], to: readonly string[], { right, sizes }: Resolved): Tensor {
  return reshape(
    transpose(
      apart,
      to.map(name => from.indexOf(name)),
    ),
    shapeOf(right, sizes),
  )
}

const reductions = { sum, mean, max, min, prod }

/**
 * Reduces away the axes missing on the right: `reduce(x, 'b c (h 2) (w 2)...'`-style pooling with named sizes,
 * `reduce(x, 'b c h w -> b c', 'mean')`.
 * @param how `sum`, `mean`, `max`, `min` or `prod`
 */
export function reduce(
  x: TensorLike,
  pattern: string,
  how: keyof typeof reductions,
  sizes: Record<string, number> = {},
): Tensor {
  const input = asTensor(x)
  const resolved = resolve('reduce', pattern, input, sizes)
  unknownNames('reduce', pattern, resolved, false)
  const from = resolved.left.flat()
  const to = resolved.right.flat()
  const apart = reshape(
    input,
    from.map(name => resolved.sizes.get(name)!),
  )
  const dropped = from.map((name, axis) => (to.includes(name) ? -1 : axis)).filter(axis => axis >= 0)
  const reduced = dropped.length ? reductions[how](apart, dropped) : apart
  return rebuild(
    reduced,
    from.filter(name => to.includes(name)),
    to,
    resolved,
  )
}

/** Repeats along new named axes: `repeat(x, 'h w -> h (w r)', { r: 2 })`. */
export function repeat(x: TensorLike, pattern: string, sizes: Record<string, number> = {}): Tensor {
  const input = asTensor(x)
  const resolved = resolve('repeat', pattern, input, sizes)
  const extra = unknownNames('repeat', pattern, resolved, true)
  const from = resolved.left.flat()
  const to = resolved.right.flat()
  const lost = from.filter(name => !to.includes(name))
  if (lost.length) fail('repeat', pattern, `'${lost.join("', '")}' is missing on the right`)
  const size = (name: string): number => resolved.sizes.get(name)!
  const apart = reshape(input, [...extra.map(() => 1), ...from.map(size)])
  const spread = broadcastTo(apart, [...extra.map(size), ...from.map(size)])
  return rebuild(spread, [...extra, ...from], to, resolved)
}

interface Labelled {
  readonly tensor: Tensor
  readonly labels: readonly string[]
}

/**
 * Sums of products by axis names: `einsum('b i d, b j d -> b i j', q, k)`. Names may be single letters without spaces
 * (`'bid,bjd->bij'`) or words with spaces; `...` are leading axes that broadcast. Becomes (batched) matrix products.
 * @throws when a name has two sizes, or the output names an axis no input has
 */
export function einsum(equation: string, ...operands: TensorLike[]): Tensor {
  const sides = equation.split('->')
  if (sides.length !== 2) fail('einsum', equation, "expected exactly one '->'")
  const terms = sides[0].split(',')
  if (terms.length !== operands.length)
    fail('einsum', equation, `${terms.length} terms for ${operands.length} operands`)
  const spaced = /[\w.]\s+[\w.]/.test(equation)
  const read = (term: string): string[] =>
    (spaced
      ? term.replaceAll('...', ` ${ELLIPSIS} `).trim().split(/\s+/)
      : [...term.replaceAll('...', ELLIPSIS).replaceAll(' ', '')]
    ).filter(Boolean)
  const sizes = new Map<string, number>()
  const labelled = terms.map((term, i) => label(equation, asTensor(operands[i]), read(term), sizes))
  const dots = labelled
    .map(({ labels }) => labels.filter(name => name.startsWith(ELLIPSIS)))
    .reduce((a, b) => (b.length > a.length ? b : a), [])
  const output = read(sides[1]).flatMap(name => (name === ELLIPSIS ? dots : [name]))
  for (const name of output) if (!sizes.has(name)) fail('einsum', equation, `no operand has the axis '${name}'`)
  if (new Set(output).size !== output.length) fail('einsum', equation, 'an output axis stands twice')
  let result = labelled[0]
  labelled.slice(1).forEach((next, i) => {
    const later = new Set([...output, ...labelled.slice(i + 2).flatMap(({ labels }) => labels)])
    result = contract(result, next, later, sizes)
  })
  const kept = sumAway(result, new Set(output))
  return transpose(
    kept.tensor,
    output.map(name => kept.labels.indexOf(name)),
  )
}

function label(equation: string, t: Tensor, names: readonly string[], sizes: Map<string, number>): Labelled {
  const count = t.rank - names.length + 1
  const hasDots = names.includes(ELLIPSIS)
  if (hasDots ? count < 0 : names.length !== t.rank) fail('einsum', equation, `a term names ${names.length} axes`, t)
  // Broadcast axes are numbered from the right, so that terms of different rank line up.
  const labels = names.flatMap(name =>
    name === ELLIPSIS ? Array.from({ length: count }, (_, i) => `${ELLIPSIS}${count - 1 - i}`) : [name],
  )
  let result: Labelled = { tensor: t, labels }
  for (const name of new Set(labels))
    if (labels.filter(other => other === name).length > 1) result = diagonal(equation, result, name)
  result.labels.forEach((name, axis) => {
    const dim = result.tensor.shape[axis]
    const known = sizes.get(name)
    if (known === undefined || known === 1) sizes.set(name, dim)
    else if (dim !== known && dim !== 1) fail('einsum', equation, `axis '${name}' has sizes ${known} and ${dim}`, t)
  })
  return result
}

/** Keeps the entries whose indices along two equally named axes agree. */
function diagonal(equation: string, { tensor: t, labels }: Labelled, name: string): Labelled {
  const first = labels.indexOf(name)
  const second = labels.indexOf(name, first + 1)
  const dim = t.shape[first]
  if (dim !== t.shape[second]) fail('einsum', equation, `axis '${name}' has sizes ${dim} and ${t.shape[second]}`, t)
  const rest = t.shape.map((_, axis) => axis).filter(axis => axis !== first && axis !== second)
  const moved = transpose(t, [...rest, first, second])
  const outer = rest.map(axis => t.shape[axis])
  // Elements (i, i) of a square lie dim+1 apart.
  const flat = reshape(moved, [...outer, dim * dim])
  const taken = at(flat, ...outer.map(() => null), [0, null, dim + 1])
  const next: Labelled = { tensor: taken, labels: [...rest.map(axis => labels[axis]), name] }
  return next.labels.filter(other => other === name).length > 1 ? diagonal(equation, next, name) : next
}

function sumAway({ tensor: t, labels }: Labelled, needed: ReadonlySet<string>): Labelled {
  const axes = labels.map((name, axis) => (needed.has(name) ? -1 : axis)).filter(axis => axis >= 0)
  return axes.length ? { tensor: sum(t, axes), labels: labels.filter(name => needed.has(name)) } : { tensor: t, labels }
}

/** Product of two labelled tensors, summed over the axes nothing later needs. */
function contract(a: Labelled, b: Labelled, later: ReadonlySet<string>, sizes: ReadonlyMap<string, number>): Labelled {
  const left = sumAway(a, new Set([...later, ...b.labels]))
  const right = sumAway(b, new Set([...later, ...left.labels]))
  const shared = left.labels.filter(name => right.labels.includes(name))
  const batch = shared.filter(name => later.has(name))
  const inner = shared.filter(name => !later.has(name))
  const rows = left.labels.filter(name => !shared.includes(name))
  const columns = right.labels.filter(name => !shared.includes(name))
  const labels = [...batch, ...rows, ...columns]
  const size = (names: readonly string[], { tensor: t, labels: own }: Labelled): number[] =>
    names.map(name => t.shape[own.indexOf(name)])
  const order = (t: Labelled, names: readonly string[]): Tensor =>
    transpose(
      t.tensor,
      names.map(name => t.labels.indexOf(name)),
    )
  if (inner.length === 0) {
    const x = order(left, [...batch, ...rows])
    const y = order(right, [...batch, ...columns])
    const apart = reshape(x, [...x.shape, ...columns.map(() => 1)])
    const between = reshape(y, [...size(batch, right), ...rows.map(() => 1), ...size(columns, right)])
    return { tensor: mul(apart, between), labels }
  }
  const full = (t: Labelled, names: readonly string[]): Tensor => {
    const ordered = order(t, names)
    // Axes shared by both sides may be 1 on one of them; the sum needs them at full size.
    return broadcastTo(
      ordered,
      names.map((name, axis) => (inner.includes(name) ? sizes.get(name)! : ordered.shape[axis])),
    )
  }
  const x = full(left, [...batch, ...rows, ...inner])
  const y = full(right, [...batch, ...inner, ...columns])
  const depth = sizeOf(inner.map(name => sizes.get(name)!))
  const product = matmul(
    reshape(x, [...size(batch, left), sizeOf(size(rows, left)), depth]),
    reshape(y, [...size(batch, right), depth, sizeOf(size(columns, right))]),
  )
  const batchShape = product.shape.slice(0, -2)
  return { tensor: reshape(product, [...batchShape, ...size(rows, left), ...size(columns, right)]), labels }
}
