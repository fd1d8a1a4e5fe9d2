// Node only: where what took time to make is kept for the next run.
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

/** The folder `kernelgrad` in the user's cache folder; it may not exist yet. */
export function cacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME ?? (homedir() === '/' ? tmpdir() : join(homedir(), '.cache'))
  return join(base, 'kernelgrad')
}
