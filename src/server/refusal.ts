/** Something that the client can mend: becomes a response with this status and `{ "error": message }`. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly statusCode: number

  /**
   * @param statusCode 400 .. 499
   * @param message one sentence: what was given, what was expected, what to do
   */
  constructor(statusCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.statusCode = statusCode
  }
}
