export * from './cross-entropy.ts'
export { type Reduction, reduceLoss } from './reduction.ts'
