import * as assert from 'uvu/assert'

/** That a call is refused by an error of a class whose message has these words. */
export async function refused(
  run: () => Promise<unknown>,
  kind: new (message: string) => Error,
  ...words: RegExp[]
): Promise<void> {
  const error = await run().then(
    () => undefined,
    error => error,
  )
  assert.instance(error, kind, String(error))
  for (const word of words) assert.match(error.message, word, error.message)
}
