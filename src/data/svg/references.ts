/** Who contains and who refers to whom in a document; elements are numbered in the order of their opening tags. */
export interface Outline {
  readonly children: number[][]
  /** Names of elements that each element draws again, or is drawn with. */
  readonly references: string[][]
  /** Elements by name; readers differ in which of several they take, so all count. */
  readonly identifiers: Map<string, number[]>
  /** Names that the style sheet refers to: any element may be drawn with them. */
  readonly everywhere: string[]
}

/**
 * The number of elements that are drawn when every reference is followed: `weight(e) = 1 + Σ weight(children) + Σ
 * weight(referred)`. Twenty nested `use` elements of two copies each make a million.
 *
 * @returns undefined when following the references never ends
 */
export function drawnElements({ children, references, identifiers, everywhere }: Outline): number | undefined {
  const weights = new Float64Array(children.length)
  const state = new Uint8Array(children.length) // 0 not visited, 1 being visited, 2 known
  const followed = (element: number): number[] => [
    ...children[element],
    ...references[element].flatMap(name => identifiers.get(name) ?? []),
  ]
  const stack: { element: number; next: number[] }[] = []
  const enter = (element: number) => {
    state[element] = 1
    stack.push({ element, next: followed(element) })
  }
  for (let start = 0; start < children.length; start++) {
    if (state[start] !== 0) continue
    enter(start)
    while (stack.length > 0) {
      const { element, next } = stack[stack.length - 1]
      const target = next.pop()
      if (target === undefined) {
        weights[element] = 1 + followed(element).reduce((sum, other) => sum + weights[other], 0)
        state[element] = 2
        stack.pop()
      } else if (state[target] === 1) return undefined
      else if (state[target] === 0) enter(target)
    }
  }
  const anywhere = everywhere
    .flatMap(name => identifiers.get(name) ?? [])
    .reduce((sum, target) => sum + weights[target], 0)
  return weights[0] * (1 + anywhere)
}
