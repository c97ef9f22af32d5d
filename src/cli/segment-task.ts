/** The segmentation task, where the models of systems can be named too. */
export async function segmentTask() {
  await import('../systems/index.ts')
  return import('../tasks/segment/index.ts')
}
