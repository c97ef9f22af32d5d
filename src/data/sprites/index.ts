export { type Drawing, type Drawn, type DrawOptions, draw, resizeSquare } from './drawings.ts'
export { type DrawnIcon, drawIcons, hashShare, type IconDrawingOptions, plainConcepts } from './icon-drawings.ts'
export {
  type IconPictures,
  type IconPicturesOptions,
  openEmoji,
  openIcons,
  type PictureParts,
} from './icon-pictures.ts'
