// A disk that is full from a write on: files cannot be written to, synced or made, and folders cannot be made, until there is room again.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { devNull as nowhere } from 'node:os'
import type { Seam } from './faults.ts'

type Method = (...args: unknown[]) => unknown

/** Fills the disk at the `nth` write, sync or making of a folder (never where it is 0), counted from 1. */
export async function fillDisk(nth: number): Promise<Seam> {
  let calls = 0
  const full = (syscall: string): void => {
    if (++calls < nth || nth === 0) return
    throw Object.assign(new Error(`ENOSPC: no space left on device, ${syscall}`), {
      code: 'ENOSPC',
      errno: -28,
      syscall,
    })
  }
  const handle = await fs.promises.open(nowhere)
  const files = Object.getPrototypeOf(handle) as Record<string, Method>
  await handle.close()
  const folders = fs.promises as unknown as Record<string, Method>
  const undo = [
    ...['write', 'writeFile', 'sync'].map(name => wrap(files, name, full)),
    wrap(folders, 'mkdir', full),
  ]
  syncBuiltinESMExports()
  const remove = () => {
    for (const back of undo) back()
    syncBuiltinESMExports()
  }
  return { calls: () => calls, remove }
}

function wrap(owner: Record<string, Method>, name: string, before: (name: string) => void): () => void {
  const method = owner[name]!
  owner[name] = async function (this: unknown, ...args: unknown[]) {
    before(name)
    return method.apply(this, args)
  }
  return () => {
    owner[name] = method
  }
}
