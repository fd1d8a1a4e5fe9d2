/**
 * What is used of a file system: Node's own (`files-node.ts`), and in a browser the site's private one, OPFS
 * (`files-browser.ts`). `#files` in package.json picks. Source of the latter: https://fs.spec.whatwg.org
 */

/** A file open for reading. */
export interface ReadFile {
  /** Bytes when it was opened. */
  readonly size: number
  /** Bytes from `at` on: `length` of them, or fewer where the file ends. */
  read(at: number, length: number): Promise<Uint8Array<ArrayBuffer>>
  close(): Promise<void>
}

/** A file open for writing, from its start to its end. */
export interface WriteFile {
  /** Appends bytes, or text as UTF-8. */
  write(data: Uint8Array | string): Promise<void>
  /** Returns once everything is on the disk. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** A file that is being written to take another's place. */
export interface Replacement {
  file: WriteFile
  /** Puts it in place, once everything is on the disk. */
  finish(): Promise<void>
  /** Drops it, finished or not; what was there stays. */
  discard(): Promise<void>
}

/** A hash that takes its input in pieces. */
export interface Hash {
  update(bytes: Uint8Array): unknown
  /** The hash of all pieces, lower-case hexadecimal. */
  digest(form: 'hex'): string
}

/**
 * The operations. All but the last group fail with the platform's own errors, which `isError` knows and `reason` words.
 *
 * Folders that appear whole or not at all are written under a passing name, `<name>.<hex digits>.tmp`, their last file
 * being the `mark`, and then placed. A platform that renames folders does so. One that cannot moves the files, the
 * mark last: there a folder without the mark is not whole, and a passing one with it is to be placed still.
 */
export interface FileSystem {
  join(...parts: string[]): string
  dirname(path: string): string
  basename(path: string): string

  /**
   * What is known without reading it. `version` is another once the content is another, unless that changed within the clock's resolution, and `changed` when that
   * was, in milliseconds since 1970; neither is known everywhere. `modified` is another once it was written to.
   */
  stat(path: string): Promise<{
    size: number
    isFolder: boolean
    version?: string
    changed?: number
    modified?: string
  }>
  open(path: string): Promise<ReadFile>
  /** A new file. */
  create(path: string): Promise<WriteFile>
  /** A file that takes the place of `path`, of the same mode; what is no regular file there is written through. */
  replace(path: string): Promise<Replacement>
  /** What tells the file or folder from every other, whatever path leads there; undefined where there is none. */
  identity(path: string): Promise<string | undefined>
  /** Renames a file, in place of an older one; lasts through a power cut. */
  rename(from: string, to: string): Promise<void>
  /** Removes a file, or a folder with all that is in it, where it is there. */
  remove(path: string): Promise<void>
  /** Makes a folder and those above it, where they are missing. */
  makeFolder(path: string): Promise<void>
  /** Names of what a folder holds. */
  list(path: string): Promise<string[]>

  /** Gives the finished folder `fresh` its name, in place of an older one. */
  place(fresh: string, folder: string, mark: string): Promise<void>
  /** Removes a placed folder; one that is removed in part is never taken for whole. */
  withdraw(folder: string, mark: string): Promise<void>
  /** Ends a `place` that was cut short. */
  settle(folder: string, mark: string): Promise<void>
  /** Whether a folder of a name that was placed may be whole, as far as the mark tells. */
  isPlaced(folder: string, mark: string): Promise<boolean>

  /**
   * Takes a folder, which must be there, for one writer; returns what gives it back.
   * @throws FolderInUseError naming who has it.
   */
  lock(folder: string): Promise<() => Promise<void>>
  /** A name beside `path` for what is still being written, or on its way out; it ends in `.<hex digits>.<kind>`. */
  passingName(path: string, kind?: 'tmp' | 'old'): string

  /** Whether an error is the file system's. */
  isError(error: unknown): boolean
  /** Whether it says that there is no such file or folder. */
  isMissing(error: unknown): boolean
  /** What went wrong, in words. */
  reason(error: unknown): string
  sha256(): Hash
}
