export { Collection } from './collection.ts'
export { CollectionError } from './collection-error.ts'
export { type FunnelOptions, funnelSearch, type Ranked, type Side } from './funnel.ts'
export { type Manifest, readManifest } from './manifest.ts'
export { NestedVectors, scanWidth, truncated } from './nested-vectors.ts'
export { rankingWeights } from './ranking-weights.ts'
export type {
  DescribedText,
  Hit,
  IndexOptions,
  IndexProgress,
  IndexReport,
  ItemImage,
  Metadata,
  SearchRequest,
  SearchResult,
  SourceItem,
} from './source-item.ts'
export { openSource, type Source, type TableColumns } from './sources/index.ts'
