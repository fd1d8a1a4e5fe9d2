// A process that saves until it kills itself, at one of its file operations, or of the renames to names that end alike: before it is done, or after.
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { saveForever } from './save-forever.ts'

const [output, kept, killAt, when, only] = process.argv.slice(2) as [string, string, string, string, string?]

let at = 0
function killIn(holder: object, name: string): void {
  const methods = holder as Record<string, (...all: unknown[]) => Promise<unknown>>
  const method = methods[name]!
  methods[name] = async function (...all) {
    const counts = only === undefined || String(all[1]).endsWith(only)
    const mine = counts && ++at === Number(killAt)
    if (mine && when === 'before') process.kill(process.pid, 'SIGKILL')
    try {
      return await method.apply(this, all)
    } finally {
      // Also where the operation is refused, as the rename onto a folder is that is there already.
      if (mine) process.kill(process.pid, 'SIGKILL')
    }
  }
}
const handle = await fs.open(process.execPath)
for (const name of ['write', 'sync', 'close']) killIn(Object.getPrototypeOf(handle), name)
for (const name of ['mkdir', 'open', 'rename', 'rm']) killIn(fs, name)
syncBuiltinESMExports()

await saveForever(output, Number(kept), text => process.stdout.write(text))
