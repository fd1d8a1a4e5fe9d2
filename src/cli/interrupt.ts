/**
 * Takes over Ctrl-C: the first calls `stop`, which ends the work in good order; the second ends the process at once.
 * @returns what gives Ctrl-C back.
 */
export function onInterrupt(stop: () => void): () => void {
  let asked = false
  const listen = () => {
    if (asked) process.exit(130)
    asked = true
    process.stderr.write('\ninterrupted: saving after this step; press Ctrl-C again to exit at once\n')
    stop()
  }
  process.on('SIGINT', listen)
  return () => process.off('SIGINT', listen)
}
