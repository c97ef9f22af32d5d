import { InvalidArgumentError } from 'commander'
import { UserError } from './user-error.ts'

/** Parsers for commander: each refuses what it cannot use with one line. */
export function wholeNumber(least: number) {
  return (text: string): number => {
    const value = Number(text)
    if (!Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`expected a whole number of at least ${least}.`)
    return value
  }
}

export function realNumber(least: number, most = Number.POSITIVE_INFINITY) {
  return (text: string): number => {
    const value = Number(text)
    if (text.trim() === '' || !(value >= least && value <= most))
      throw new InvalidArgumentError(
        `expected a number from ${least} to ${most === Number.POSITIVE_INFINITY ? 'any size' : most}.`,
      )
    return value
  }
}

export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Falls through to the same message as any other wrong value.
  }
  throw new InvalidArgumentError('expected a JSON object, such as {"dim":128}.')
}

/** Names with commas between; empty ones are left out. */
export const commaList = (text: string): string[] =>
  text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')

/** Runs what can fail because of the user's data: any error it throws becomes one line. */
export async function asUserError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError) throw error
    throw new UserError((error as Error).message.split('\n')[0])
  }
}
