export interface SystemFolder {
  readonly task: string
  readonly id: string
}
export const registryFile: string
export function systemFolders(root?: string): SystemFolder[]
export function registrySource(found?: readonly SystemFolder[]): string
export function writeRegistry(): boolean
