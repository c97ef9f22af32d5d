import { measureNormalisation } from '../channel-statistics.ts'
import { arrayDataset, type Dataset, subset } from '../dataset.ts'
import type { Normalisation } from '../normalise.ts'
import type { Drawn } from './drawings.ts'
import { type DrawnIcon, drawIcons, hashShare } from './icon-drawings.ts'

/** Labelled pictures in three parts. */
export interface PictureParts {
  readonly name: string
  readonly classes: readonly string[]
  readonly train: Dataset
  readonly validation: Dataset
  readonly test: Dataset
  readonly normalisation: Normalisation
}

export interface IconPictures extends PictureParts {
  /** What each row of the pixels is: `dataset.source.rows` of any part points here. */
  readonly items: readonly DrawnIcon[]
}

export interface IconPicturesOptions {
  /** Side in pixels. Default 32 */
  readonly size?: number
  /** Names of concepts, or how many: those that most sets draw. Default 40 */
  readonly concepts?: readonly string[] | number
  /** Default 10 */
  readonly minimumSets?: number
  readonly sets?: readonly string[]
  /**
   * What stays together on one side: `set` tests on sets never trained on, `drawing` on other drawings of the same sets,
   * `concept` on concepts never trained on (for retrieval). Default `set`.
   */
  readonly split?: 'set' | 'drawing' | 'concept'
  /** Sets that are tested on with `split: 'set'`. */
  readonly heldOutSets?: readonly string[]
  readonly cache?: string
}

/** Sets kept for testing by default: drawn by other hands than the rest. */
const heldOutIconSets = ['carbon', 'heroicons', 'iconoir', 'solar', 'ri'] as const
const heldOutEmojiSets = ['noto'] as const

type Part = 'train' | 'validation' | 'test'

/** The part an icon belongs to. Of what is not tested on, one drawing in ten chooses settings. */
function partOf(icon: DrawnIcon, split: NonNullable<IconPicturesOptions['split']>, heldOut: ReadonlySet<string>): Part {
  const share = hashShare(`tenet pictures ${icon.drawing}`)
  if (split === 'set') return heldOut.has(icon.set) ? 'test' : share < 0.1 ? 'validation' : 'train'
  if (split === 'concept') return icon.conceptSplit === 'unseen-set' ? 'test' : icon.conceptSplit
  return share < 0.2 ? 'test' : share < 0.3 ? 'validation' : 'train'
}

/** Pixels as they are seen: over white. */
function overWhite({ size, items, alpha, colours }: Drawn<DrawnIcon>): Uint8Array {
  const area = size * size
  const channels = colours ? 3 : 1
  // In shared memory, so that worker threads read the pictures where they are.
  const values = new Uint8Array(new SharedArrayBuffer(items.length * channels * area))
  for (let i = 0; i < items.length; i++)
    for (let c = 0; c < channels; c++)
      for (let at = 0; at < area; at++) {
        const cover = alpha[i * area + at]
        const colour = colours ? colours[(i * 3 + c) * area + at] : 0
        values[(i * channels + c) * area + at] = 255 - cover + Math.round((colour * cover) / 255)
      }
  return values
}

async function asParts(
  name: string,
  drawn: Drawn<DrawnIcon>,
  label: (icon: DrawnIcon) => string,
  part: (icon: DrawnIcon) => Part,
): Promise<IconPictures> {
  const { size, items } = drawn
  const classes = [...new Set(items.map(label))].sort()
  const position = new Map(classes.map((one, i) => [one, i]))
  const all = arrayDataset({
    name,
    classes,
    shape: [drawn.colours ? 3 : 1, size, size],
    values: overWhite(drawn),
    labels: Int32Array.from(items, item => position.get(label(item))!),
    names: items.map(({ id }) => id),
  })
  const rows = (wanted: Part): number[] => items.flatMap((item, i) => (part(item) === wanted ? [i] : []))
  const train = subset(all, rows('train'), `${name} train`)
  return {
    name,
    classes,
    train,
    validation: subset(all, rows('validation'), `${name} validation`),
    test: subset(all, rows('test'), `${name} test`),
    normalisation: await measureNormalisation(train),
    items,
  }
}

/**
 * Icons of one colour as grey pictures, black on white; labels are concepts.
 *
 * @throws Error when no icon set is installed or a concept is not drawn by any
 */
export async function openIcons(options: IconPicturesOptions = {}): Promise<IconPictures> {
  const {
    size = 32,
    concepts = 40,
    minimumSets = 10,
    sets,
    split = 'set',
    heldOutSets = heldOutIconSets,
    cache,
  } = options
  const drawn = await drawIcons({ size, concepts, minimumSets, sets, cache })
  const heldOut = new Set(heldOutSets)
  return asParts(
    'icons',
    drawn,
    icon => icon.concept,
    icon => partOf(icon, split, heldOut),
  )
}

export interface EmojiPicturesOptions
  extends Pick<IconPicturesOptions, 'size' | 'sets' | 'split' | 'heldOutSets' | 'cache'> {
  /** What a picture is labelled with: its group (`Animals Nature`, …) or the very emoji. Default `group` */
  readonly label?: 'group' | 'emoji'
  /** Most emoji, those that most sets draw. Default 600 */
  readonly concepts?: number
}

/**
 * Emoji in colour over white.
 *
 * @throws Error when no emoji set is installed
 */
export async function openEmoji(options: EmojiPicturesOptions = {}): Promise<IconPictures> {
  const {
    size = 32,
    sets,
    split = 'set',
    heldOutSets = heldOutEmojiSets,
    label = 'group',
    concepts = 600,
    cache,
  } = options
  const drawn = await drawIcons({ size, sets, concepts, colour: true, mostPerConcept: 8, cache })
  const heldOut = new Set(heldOutSets)
  const groups = groupsOf(drawn.items)
  return asParts('emoji', drawn, label === 'emoji' ? icon => icon.concept : icon => groups.get(icon.concept)!, icon =>
    partOf(icon, split, heldOut),
  )
}

/** The group of each emoji: what most of its drawings are filed under. Sets disagree about a few. */
function groupsOf(items: readonly DrawnIcon[]): Map<string, string> {
  const votes = new Map<string, Map<string, number>>()
  for (const { concept, category } of items) {
    const tally = votes.get(concept) ?? new Map<string, number>()
    if (category && !category.startsWith('Extras')) tally.set(category, (tally.get(category) ?? 0) + 1)
    votes.set(concept, tally)
  }
  return new Map(
    [...votes].map(([concept, tally]) => [
      concept,
      [...tally].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0]?.[0] ?? 'Other',
    ]),
  )
}
