import { quote } from './failure.ts'

/**
 * Checks where an ONNX file says that its external data lie, before anything is opened: a path relative to the model's
 * folder that stays inside it. Links must be resolved by whoever opens the file; see {@link staysInside}.
 * @returns the location with `.` segments and doubled slashes removed
 * @throws for an empty or absolute path, a drive letter, a URL, a backslash, a NUL byte or a `..` segment
 * (ONNX specification, docs/ExternalData.md)
 */
export function safeExternalLocation(location: string): string {
  const refuse = (why: string): never => {
    throw new Error(`external data ${quote(location)}: ${why}; expected a path inside the model's folder`)
  }
  if (location.trim() === '') refuse('the location is empty')
  if (location.includes('\0')) refuse('the location holds a NUL byte')
  if (location.includes('\\')) refuse('the location holds a backslash')
  if (location.startsWith('/')) refuse('the location is absolute')
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(location)) refuse('the location is a URL or starts with a drive letter')
  const segments = location.split('/').filter(segment => segment !== '' && segment !== '.')
  if (segments.includes('..')) refuse("the location leaves its folder by '..'")
  if (segments.length === 0) refuse('the location names a folder')
  return segments.join('/')
}

/**
 * Whether a file, both paths being absolute and with every link resolved (`realpath`), lies inside a folder.
 * A link that points out of the model's folder shows itself here.
 */
export function staysInside(folder: string, file: string): boolean {
  const base = folder.replace(/[/\\]+$/, '')
  return file.length > base.length + 1 && file.startsWith(base) && /[/\\]/.test(file[base.length])
}
