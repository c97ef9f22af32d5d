/** The classification task, where the models of systems can be named too. */
export async function classifyTask() {
  await import('../systems/index.ts')
  return import('../tasks/classify/index.ts')
}
