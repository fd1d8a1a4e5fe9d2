// Where a command writes, looked at before it starts: never onto what it reads, never a file where a folder is.
import { fstatSync } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { files } from '#files'
import { reason } from '../data/files.ts'
import { descriptorOf, targetOf } from '../data/replace-node.ts'
import { DataError, UsageError } from '../errors.ts'

/** A file that a command reads, and the option that names it. */
export interface Input {
  path: string
  by: string
}

/** Inputs that one option names. */
export const inputs = (by: string, paths: readonly string[] | string | undefined): Input[] =>
  [paths ?? []].flat().map(path => ({ path, by }))

/** The files of a model's folder, whatever of them is read. */
export async function folderInputs(by: string, folder: string | undefined): Promise<Input[]> {
  if (folder === undefined) return []
  const names = await readdir(folder).catch(() => []) // What cannot be listed is refused where it is read.
  return inputs(
    by,
    names.filter(name => /\.(json|safetensors|bin|txt|html)$/.test(name)).map(name => join(folder, name)),
  )
}

interface Outputs {
  reads: readonly Input[]
  /** The files that will be written. */
  writes: readonly string[]
  /** Folders whose checkpoints come and go. */
  runs?: readonly string[]
  /** The option that says where. */
  option?: string
}

/**
 * Checks that no output takes an input's place, by whatever links or names it is reached, nor a folder's.
 * @throws UsageError naming both; DataError for a folder in a file's place.
 */
export async function checkOutputs({ reads, writes, runs = [], option = '--out' }: Outputs): Promise<void> {
  const known = new Map<string, Input>()
  for (const input of reads) {
    const id = await identityOf(input.path)
    if (id !== undefined && !known.has(id)) known.set(id, input)
  }
  for (const path of writes) {
    const info = await stat(path).catch(() => undefined) // Nothing there is the usual case.
    if (info?.isDirectory()) throw new DataError(`cannot write ${path}: it is a folder`)
    const input = known.get((await identityOf(path)) ?? '')
    if (input) throw new UsageError(`${option} ${path} is the file that ${input.by} reads; name another`)
  }
  for (const [descriptor, name] of [
    [1, 'stdout'],
    [2, 'stderr'],
  ] as const) {
    const input = known.get(identityOfDescriptor(descriptor) ?? '')
    if (input) throw new UsageError(`${name} goes to ${input.path}, the file that ${input.by} reads`)
  }
  for (const run of runs) {
    const folder = `${await realpath(run).catch(() => run)}/checkpoint-`
    for (const { path, by } of reads)
      if ((await realpath(path).catch(() => path)).startsWith(folder))
        throw new UsageError(
          `${path}, which ${by} reads, is in a checkpoint that ${option} ${run} replaces; copy it first`,
        )
  }
}

/** Of what cannot be looked at there is none; reading or writing it will say why. */
const identityOf = (path: string) => files.identity(path).catch(() => undefined)

function identityOfDescriptor(descriptor: number): string | undefined {
  try {
    const info = fstatSync(descriptor, { bigint: true })
    return info.isFile() ? `${info.dev}:${info.ino}` : undefined
  } catch {
    return undefined // closed from the start
  }
}

/** Whether a file to write is where this process's stdout goes, as /dev/stdout is. */
export async function isStdout(path: string): Promise<boolean> {
  if ((await descriptorOf(path)) === 1) return true
  const id = identityOfDescriptor(1)
  return id !== undefined && id === (await identityOf(path))
}

/**
 * Makes the folder that a file will be written into.
 * @throws DataError where that cannot be.
 */
export async function makeFolderOf(path: string): Promise<void> {
  try {
    await files.makeFolder(dirname(await targetOf(path)))
  } catch (error) {
    throw new DataError(`cannot write ${path}: ${reason(error)}`, { cause: error })
  }
}
