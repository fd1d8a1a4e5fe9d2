// Rejections that nobody handled: a test may look, and the file fails at its end.
const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))
process.on('exit', () => {
  if (!unhandled.length) return
  console.error('rejections that nobody handled:', ...unhandled)
  process.exitCode = 1
})

/** Those so far, once what is under way has had its turn. */
export async function unhandledSoFar(): Promise<unknown[]> {
  for (let turn = 0; turn < 3; turn++) await new Promise(resolve => setImmediate(resolve))
  return unhandled
}
