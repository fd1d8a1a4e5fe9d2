// Checkpoints as folders on disk, without a device: written whole or not at all, checked by checksum, the old ones removed.
// A folder gets its name `checkpoint-<step>` by a rename once every file in it is on disk, and loses it by a rename before
// the first of its files is removed: whenever the process is killed, a folder of that name is whole. Where folders cannot
// be renamed, in a browser, the checksums come last and go first: a folder of that name which has them is whole.
import { files as fileSystem } from '#files'
import { isObject } from '../config/schema.ts'
import { isSystemError, readJson, reason, writeFileAtomic, writeJson } from '../data/files.ts'
import { type TensorStream, writeSafetensors } from '../data/safetensors-file.ts'
import { CheckpointError, KernelgradError } from '../errors.ts'

/** Name of the file with a model's weights. */
export const WEIGHTS_FILE = 'model.safetensors'
export const CHECKSUMS_FILE = 'checksums.json'

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
/** Folders on the way; their names have 24 digits, or 12 in a browser and of older versions. */
const LEFT_OVER = /^(checkpoint-\d+)\.[0-9a-f]{12}(?:[0-9a-f]{12})?\.(tmp|old)$/
/** Files on the way: of what a run writes beside its checkpoints, and of the look whether it can. */
const LEFT_OVER_FILE = /^([\w-]+\.(?:json|safetensors|html)|\.probe)\.(?:[0-9a-f]{12})?[0-9a-f]{12}\.(tmp)$/
const PROBE = '.probe'
const SAVED = /\.(json|safetensors)$/
const HASHED_AT_ONCE = 1 << 20
const { join } = fileSystem

export const checkpointPath = (output: string, step: number): string => join(output, `checkpoint-${step}`)

/**
 * Writes a folder that appears whole or not at all, with checksums of its files; an older folder of that name is replaced.
 * @throws CheckpointError when the file system refuses.
 */
export async function writeFolder(folder: string, files: readonly CheckpointFile[]): Promise<void> {
  const fresh = fileSystem.passingName(folder)
  try {
    // One that an earlier save left to be placed would come back in place of this one.
    await fileSystem.settle(folder, CHECKSUMS_FILE)
    await fileSystem.makeFolder(fresh)
    const sums: Checksums = {}
    for (const file of files) sums[file.name] = await writeHashed(join(fresh, file.name), file)
    await writeJson(join(fresh, CHECKSUMS_FILE), sums)
    await fileSystem.place(fresh, folder, CHECKSUMS_FILE)
  } catch (error) {
    await fileSystem.remove(fresh).catch(() => {}) // The first error says more.
    const refusal = [error, (error as Error).cause].find(isSystemError)
    if (!refusal) throw error
    throw new CheckpointError(`cannot write ${folder}: ${reason(refusal)}`, { cause: error })
  }
}

async function writeHashed(path: string, file: CheckpointFile): Promise<Checksums[string]> {
  const hash = fileSystem.sha256()
  let bytes = 0
  const note = (part: Uint8Array) => {
    bytes += part.length
    hash.update(part)
  }
  if ('tensors' in file) await writeSafetensors(path, file.tensors, file.metadata, note)
  else {
    const text = new TextEncoder().encode(`${JSON.stringify(file.json, null, 2)}\n`)
    note(text)
    await writeFileAtomic(path, handle => handle.write(text))
  }
  return { bytes, sha256: hash.digest('hex') }
}

/**
 * Refuses to replace a folder that holds more than what `writeFolder` wrote: that would go with it.
 * @throws CheckpointError naming one of the files or folders.
 */
export async function expectReplaceable(folder: string): Promise<void> {
  const names = await fileSystem.list(folder)
  // Without checksums, or with damaged ones, files count by their kind.
  const sums: unknown = await readJson(join(folder, CHECKSUMS_FILE)).catch(() => undefined)
  const listed = (name: string) => (isObject(sums) ? Object.hasOwn(sums, name) : SAVED.test(name))
  const own = (name: string) => name === CHECKSUMS_FILE || name === '.lock' || listed(name)
  const other = names.find(name => !own(name))
  if (other !== undefined)
    throw new CheckpointError(
      `cannot write ${folder}: it holds ${other}, which is no file of a saved model and would be deleted; name another folder, ` +
        `such as ${join(folder, 'model')}`,
    )
}

/** What is wrong with a folder that `writeFolder` wrote; undefined when it is whole. */
export async function damageOf(folder: string): Promise<string | undefined> {
  let at = folder
  try {
    const sums = (await readJson(join(folder, CHECKSUMS_FILE))) as Checksums
    for (const [name, { bytes, sha256 }] of Object.entries(sums)) {
      at = join(folder, name)
      const { size } = await fileSystem.stat(at)
      if (size !== bytes) return `${name} has ${size} bytes, expected ${bytes}`
      if ((await hashOf(at)) !== sha256) return `${name} does not match its checksum`
    }
    for (const name of await fileSystem.list(folder))
      if (SAVED.test(name) && name !== CHECKSUMS_FILE && !Object.hasOwn(sums, name))
        return `${name} has no checksum`
  } catch (error) {
    if (error instanceof KernelgradError) return error.message
    if (isSystemError(error)) return `${at}: ${reason(error)}`
    return `${CHECKSUMS_FILE} is not what was written`
  }
  return undefined
}

/** Hashes of files by path, with the version that was read. */
const known = new Map<string, { version: string; sha256: string }>()
/** Milliseconds within which a file system may not tell two changes apart, as FAT's does. */
const RESOLUTION = 2000

/**
 * SHA-256 of a file, read a piece at a time. One that this process has hashed and that has not changed since is not read again; a file that changed
 * just before it was read may have changed once more since.
 */
export async function hashOf(path: string): Promise<string> {
  const begun = Date.now()
  const { version, changed } = await fileSystem.stat(path)
  const before = known.get(path)
  if (version !== undefined && before?.version === version) return before.sha256
  const sha256 = await readHash(path)
  if (version !== undefined && begun - changed! > RESOLUTION) known.set(path, { version, sha256 })
  else known.delete(path)
  return sha256
}

async function readHash(path: string): Promise<string> {
  const hash = fileSystem.sha256()
  const file = await fileSystem.open(path)
  try {
    for (let at = 0; at < file.size; at += HASHED_AT_ONCE) hash.update(await file.read(at, HASHED_AT_ONCE))
  } finally {
    await file.close()
  }
  return hash.digest('hex')
}

/** The checkpoints in a run's folder, oldest first. */
export async function listCheckpoints(output: string): Promise<CheckpointFolder[]> {
  const found: CheckpointFolder[] = []
  for (const name of await fileSystem.list(output)) {
    const [, step] = CHECKPOINT.exec(name) ?? []
    const folder = join(output, name)
    if (step !== undefined && (await fileSystem.isPlaced(folder, CHECKSUMS_FILE)))
      found.push({ step: Number(step), folder })
  }
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
    if ((await fileSystem.list(from)).includes(CHECKSUMS_FILE)) {
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
    await fileSystem.withdraw(folder, CHECKSUMS_FILE)
    remaining--
  }
}

/**
 * Makes a training run's folder. With `resume` it may hold an earlier run's checkpoints; what a killed process left half
 * done is then removed, and what it was about to replace is put back.
 * @throws CheckpointError where nothing can be written into it, or it holds a model of an earlier run.
 * @internal
 */
export async function prepareOutputFolder(folder: string, { resume = false } = {}): Promise<void> {
  const probe = fileSystem.passingName(join(folder, PROBE))
  let names: string[]
  try {
    await fileSystem.makeFolder(folder)
    names = await fileSystem.list(folder)
    await (await fileSystem.create(probe)).close()
    await fileSystem.remove(probe)
    if (resume) await tidy(folder, names)
  } catch (error) {
    throw new CheckpointError(`cannot write into ${folder}: ${reason(error)}`, { cause: error })
  }
  const old = names.find(name => name === WEIGHTS_FILE || CHECKPOINT.test(name))
  if (old && !resume)
    throw new CheckpointError(
      `${folder} already holds ${old} of an earlier run; name a new folder, or go on with it (--resume)`,
    )
}

/**
 * Makes a training run's folder as {@link prepareOutputFolder} does, and takes it: until it is given back, no other process, and no
 * other trainer of this one, writes into it.
 * @returns what gives it back.
 * @throws FolderInUseError naming the process that has it; CheckpointError as {@link prepareOutputFolder}.
 * @internal
 */
export async function lockOutputFolder(
  folder: string,
  options: { resume?: boolean } = {},
): Promise<() => Promise<void>> {
  const release = await lock(folder)
  try {
    await prepareOutputFolder(folder, options)
  } catch (error) {
    await release()
    throw error
  }
  return release
}

/** Makes a folder, and takes it. */
export async function lock(folder: string): Promise<() => Promise<void>> {
  try {
    await fileSystem.makeFolder(folder)
    return await fileSystem.lock(folder)
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new CheckpointError(`cannot write into ${folder}: ${reason(error)}`, { cause: error })
  }
}

async function tidy(folder: string, names: readonly string[]): Promise<void> {
  const left = names.map(name => ({ name, ...leftOver(name) }))
  // First what goes back: what is looked at afterwards is then in its place.
  for (const { name, target, kind } of left) {
    if (kind !== 'old') continue
    if (names.includes(target)) await fileSystem.remove(join(folder, name))
    else await fileSystem.rename(join(folder, name), join(folder, target))
  }
  for (const { name, target, kind } of left) {
    if (kind !== 'tmp') continue
    if (CHECKPOINT.test(target)) await fileSystem.settle(join(folder, target), CHECKSUMS_FILE)
    await fileSystem.remove(join(folder, name))
  }
  for (const name of names) {
    const half = CHECKPOINT.test(name) && !(await fileSystem.isPlaced(join(folder, name), CHECKSUMS_FILE))
    if (half) await fileSystem.remove(join(folder, name))
  }
}

/** What a name on its way is to become; nothing for other names. */
function leftOver(name: string): { target: string; kind?: 'tmp' | 'old' } {
  const [, target = '', kind] = LEFT_OVER.exec(name) ?? LEFT_OVER_FILE.exec(name) ?? []
  return kind === undefined ? { target } : { target, kind: kind as 'tmp' | 'old' }
}
