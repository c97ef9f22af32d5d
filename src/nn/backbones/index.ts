export * from './cnn.ts'
export * from './image-backbone.ts'
export * from './resnet.ts'
export * from './vit.ts'
