export { Canvas, type Ground } from './canvas.ts'
export { type CueBatch, type CueSceneOptions, CueScenes, openCueScenes } from './cue-scenes.ts'
export { openPairBoards, type PairBoardBatch, type PairBoardOptions, PairBoards } from './pair-boards.ts'
export { type Box, captionOf, type Relation, type RelationName, relationsOf } from './relations.ts'
export {
  type OpenScenesOptions,
  openScenes,
  type Scene,
  type SceneBatch,
  type SceneObject,
  type SceneOptions,
  type ScenePart,
  type SceneParts,
  Scenes,
  tokenLabels,
} from './scenes.ts'
export { type MaskKind, type Stamp, Stamps } from './stamps.ts'
