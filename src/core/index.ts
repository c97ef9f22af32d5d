import './runtime/node.ts'

export * from './exports.ts'
