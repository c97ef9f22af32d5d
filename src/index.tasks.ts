// The tasks with the systems' models: a saved classifier loads whatever model it is of.
import './systems/index.ts'

export * from './tasks/index.ts'
