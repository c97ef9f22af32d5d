export * from './classify/index.ts'
export * from './segment/index.ts'
