// Checkpoints as folders on disk, without a device: written whole or not at all, checked by checksum, the old ones removed.
// A folder gets its name `checkpoint-<step>` by a rename once every file in it is on disk, and loses it by a rename before
// the first of its files is removed: whenever the process is killed, a folder of that name is whole.
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isSystemError, readJson, reason, syncFolder, writeFileAtomic, writeJson } from '../data/files.ts'
import { type TensorStream, writeSafetensors } from '../data/safetensors-file.ts'
import { CheckpointError, KernelgradError } from '../errors.ts'

/** Name of the file with a model's weights. */
export const WEIGHTS_FILE = 'model.safetensors'
const CHECKSUMS_FILE = 'checksums.json'

/** A file of a checkpoint: tensors, or a value as JSON. */
export type CheckpointFile =
  | { name: string; tensors: TensorStream[]; metadata?: Record<string, string> }
  | { name: string; json: unknown }

/** A checkpoint of a run. */
export interface CheckpointFolder {
  step: number
  folder: string
}

type Checksums = Record<string, { bytes: number; sha256: string }>

const CHECKPOINT = /^checkpoint-(\d+)$/
const LEFT_OVER = /^(checkpoint-\d+)\.[0-9a-f]{12}\.(tmp|old)$/
const passing = (folder: string, kind: 'tmp' | 'old') => `${folder}.${randomBytes(6).toString('hex')}.${kind}`

export const checkpointPath = (output: string, step: number): string => join(output, `checkpoint-${step}`)

/**
 * Writes a folder that appears whole or not at all, with checksums of its files; an older folder of that name is replaced.
 * @throws CheckpointError when the file system refuses.
 */
export async function writeFolder(folder: string, files: readonly CheckpointFile[]): Promise<void> {
  const fresh = passing(folder, 'tmp')
  try {
    await mkdir(fresh, { recursive: true })
    const sums: Checksums = {}
    for (const file of files) sums[file.name] = await writeHashed(join(fresh, file.name), file)
    await writeJson(join(fresh, CHECKSUMS_FILE), sums)
    await putInPlace(fresh, folder)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true }).catch(() => {}) // The first error says more.
    const refusal = [error, (error as Error).cause].find(isSystemError)
    if (!refusal) throw error
    throw new CheckpointError(`cannot write ${folder}: ${reason(refusal)}`, { cause: error })
  }
}

async function writeHashed(path: string, file: CheckpointFile): Promise<Checksums[string]> {
  const hash = createHash('sha256')
  let bytes = 0
  const note = (part: Uint8Array) => {
    bytes += part.length
    hash.update(part)
  }
  if ('tensors' in file) await writeSafetensors(path, file.tensors, file.metadata, note)
  else {
    const text = Buffer.from(`${JSON.stringify(file.json, null, 2)}\n`)
    note(text)
    await writeFileAtomic(path, handle => handle.writeFile(text))
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function putInPlace(fresh: string, folder: string): Promise<void> {
  try {
    await rename(fresh, folder)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes((error as NodeJS.ErrnoException).code!)) throw error
    const old = passing(folder, 'old')
    await rename(folder, old)
    await rename(fresh, folder)
    await rm(old, { recursive: true, force: true })
  }
  await syncFolder(dirname(folder))
}

/** What is wrong with a folder that `writeFolder` wrote; undefined when it is whole. */
export async function damageOf(folder: string): Promise<string | undefined> {
  let sums: Checksums
  try {
    sums = (await readJson(join(folder, CHECKSUMS_FILE))) as Checksums
    for (const [name, { bytes, sha256 }] of Object.entries(sums)) {
      const { size } = await stat(join(folder, name))
      if (size !== bytes) return `${name} has ${size} bytes, expected ${bytes}`
      if ((await hashOf(join(folder, name))) !== sha256) return `${name} does not match its checksum`
    }
  } catch (error) {
    if (error instanceof KernelgradError) return error.message
    if (isSystemError(error)) return `${(error as NodeJS.ErrnoException).path ?? folder}: ${reason(error)}`
    return `${CHECKSUMS_FILE} is not what was written`
  }
  return undefined
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(part as Buffer)
  return hash.digest('hex')
}

/** The checkpoints in a run's folder, oldest first. */
export async function listCheckpoints(output: string): Promise<CheckpointFolder[]> {
  const found = (await readdir(output)).flatMap(name => {
    const step = CHECKPOINT.exec(name)?.[1]
    return step === undefined ? [] : [{ step: Number(step), folder: join(output, name) }]
  })
  return found.sort((a, b) => a.step - b.step)
}

/**
 * The checkpoint to go on from: `from` itself, or the newest whole one in it.
 * @param warn is told of every damaged checkpoint that is passed over.
 * @throws CheckpointError where there is none, or the one asked for is damaged.
 */
export async function findCheckpoint(from: string, warn: (message: string) => void): Promise<string> {
  let all: CheckpointFolder[]
  try {
    if ((await readdir(from)).includes(CHECKSUMS_FILE)) {
      const damage = await damageOf(from)
      if (damage === undefined) return from
      throw new CheckpointError(`${from} is damaged: ${damage}; name another checkpoint`)
    }
    all = await listCheckpoints(from)
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new CheckpointError(`cannot read ${from}: ${reason(error)}`, { cause: error })
  }
  if (!all.length) throw new CheckpointError(`${from} holds no checkpoint to go on from`)
  for (const { folder } of all.reverse()) {
    const damage = await damageOf(folder)
    if (damage === undefined) return folder
    warn(`${folder} is damaged (${damage}); it is passed over for the one before`)
  }
  throw new CheckpointError(`${from} holds no whole checkpoint to go on from`)
}

/** Removes the oldest checkpoints beyond `limit`, except those in `keep`. Source: transformers `rotate_checkpoints`. */
export async function rotateCheckpoints(
  output: string,
  limit: number | null,
  keep: readonly (string | null)[],
): Promise<void> {
  if (limit === null) return
  const all = await listCheckpoints(output)
  let remaining = all.length
  for (const { folder } of all) {
    if (remaining <= limit) break
    if (keep.includes(folder)) continue
    const going = passing(folder, 'tmp')
    await rename(folder, going)
    await rm(going, { recursive: true, force: true })
    remaining--
  }
}

/**
 * Makes a training run's folder. With `resume` it may hold an earlier run's checkpoints; what a killed process left half
 * done is then removed, and what it was about to replace is put back.
 * @throws CheckpointError where nothing can be written into it, or it holds a model of an earlier run.
 */
export async function prepareOutputFolder(folder: string, { resume = false } = {}): Promise<void> {
  const probe = join(folder, `.${process.pid}.tmp`)
  let names: string[]
  try {
    await mkdir(folder, { recursive: true })
    names = await readdir(folder)
    await writeFile(probe, '')
    await rm(probe)
    if (resume) await tidy(folder, names)
  } catch (error) {
    const isFile = (error as NodeJS.ErrnoException).code === 'EEXIST'
    const why = isFile ? 'it is a file, not a folder' : reason(error)
    throw new CheckpointError(`cannot write into ${folder}: ${why}`, { cause: error })
  }
  const old = names.find(name => name === WEIGHTS_FILE || CHECKPOINT.test(name))
  if (old && !resume)
    throw new CheckpointError(
      `${folder} already holds ${old} of an earlier run; name a new folder, or go on with it (--resume)`,
    )
}

async function tidy(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const [, target, kind] = LEFT_OVER.exec(name) ?? []
    if (target === undefined) continue
    if (kind === 'old' && !names.includes(target)) await rename(join(folder, name), join(folder, target))
    else await rm(join(folder, name), { recursive: true, force: true })
  }
}
