/** Something the user can mend: shown as one line, exit code 2. Anything else that is thrown is a bug and shows its stack. */
export class UserError extends Error {
  override readonly name = 'UserError'
}
