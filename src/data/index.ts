export { Augmenter, type AugmentOptions } from './augment.ts'
export type { Batch } from './batch.ts'
export { measureNormalisation } from './channel-statistics.ts'
export {
  type ArraySource,
  arrayDataset,
  type Dataset,
  type FileSource,
  type SampleShape,
  type Skipped,
  type SplitFractions,
  type SplitIndices,
  sampleName,
  stratifiedSplit,
  subset,
} from './dataset.ts'
export {
  type DecodedImage,
  type DecodeOptions,
  decodeImage,
  ImageError,
  type ImageHeader,
  type ImageLimits,
  imageExtensions,
  imageFormats,
  imageToFloat32,
  readImageHeader,
} from './decode.ts'
export {
  cacheFolder,
  type DownloadOptions,
  download,
  downloadLarge,
  fileSha256,
  type LargeDownloadOptions,
  sha256,
} from './download.ts'
export {
  debianFashionMnistFolder,
  type FashionMnist,
  type FashionMnistOptions,
  fashionMnistAddresses,
  fashionMnistClasses,
  fashionMnistNormalisation,
  loadFashionMnist,
} from './fashion-mnist.ts'
export * from './glyphs/index.ts'
export {
  fetchFromHub,
  type HubDownload,
  type HubOptions,
  type HubReference,
  hubFolder,
  hubReference,
  isHubName,
} from './hugging-face.ts'
export { type IdxArray, parseIdx } from './idx.ts'
export { type ImageFolder, type ImageFolderOptions, openImageFolder } from './image-folder.ts'
export { DataLoader, type EpochOptions, type LoaderOptions } from './loader.ts'
export { type MixOptions, mixBatch } from './mix.ts'
export type { Normalisation } from './normalise.ts'
export { RandomStream, randomPurposes, shuffledOrder } from './random.ts'
export { readSample, type SampleValues } from './read-sample.ts'
export * from './scenes/index.ts'
export * from './sprites/index.ts'
export { serveRequests, WorkerPool } from './worker-pool.ts'
