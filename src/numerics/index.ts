/**
 * Numerics that run on the host, in float64, over plain arrays: factorisations, assignment, nearest neighbours, Fourier
 * transforms, plane geometry, optimal transport, clustering and L-BFGS.
 */
export * from './alignment.ts'
export * from './assignment.ts'
export * from './boxes.ts'
export * from './cluster.ts'
export * from './decomposition.ts'
export * from './fourier.ts'
export * from './geometry.ts'
export { KdTree, type Neighbours } from './k-d-tree.ts'
export * from './linalg.ts'
export {
  add,
  centreColumns,
  columnMeans,
  fromRows,
  identity,
  innerProduct,
  type Matrix,
  type MatrixLike,
  matrix,
  multiply,
  rowOf,
  scale,
  transpose,
} from './matrix.ts'
export * from './nearest.ts'
export * from './optimise.ts'
export * from './principal-components.ts'
export * from './similarity.ts'
export * from './transport.ts'
