/**
 * Base of every error this library throws on purpose. The message is one sentence that names the value, where it
 * stands and what was expected; the command line prints it alone, without a stack trace.
 */
export class KernelgradError extends Error {
  /** The class's name. */
  override name = this.constructor.name
}

/** A tensor or buffer has another shape than the operation takes. */
export class ShapeError extends KernelgradError {}

/** A setting (config key, option, activation name) is unknown or out of its range. */
export class ConfigError extends KernelgradError {}

/** An argument is of the wrong kind: no tensor where one is meant, of another dtype, on another device, or freed. */
export class ArgumentError extends KernelgradError {}

/** A value in a data file or batch is missing, of the wrong type or out of range. */
export class DataError extends KernelgradError {}

/** No usable WebGPU adapter, or a device that can no longer be used. */
export class DeviceError extends KernelgradError {}

/** The device is gone, with all that was on it; what follows needs another device. */
export class DeviceLostError extends DeviceError {
  /** As WebGPU tells it: 'destroyed' when someone destroyed the device, 'unknown' when the driver or the hardware gave up. */
  readonly reason: 'unknown' | 'destroyed'

  constructor(message: string, reason: 'unknown' | 'destroyed' = 'unknown') {
    super(message)
    this.reason = reason
  }
}

/**
 * The device, or the limit it was opened with, has no room for a buffer. The device stays usable: nothing that needed the buffer has
 * run, all else has.
 */
export class OutOfMemoryError extends DeviceError {
  /** Bytes of the buffer that was asked for. */
  readonly requested: number
  /** Bytes of all buffers there were. */
  readonly allocated: number

  constructor(message: string, { requested = 0, allocated = 0 } = {}) {
    super(message)
    this.requested = requested
    this.allocated = allocated
  }
}

/** A weights or checkpoint file is not what the model expects. */
export class CheckpointError extends KernelgradError {}

/** The command line was called wrongly; exit code 2. */
export class UsageError extends KernelgradError {}

/** Another process, or another part of this one, writes into the folder. */
export class FolderInUseError extends KernelgradError {}

/** A row that was handed over to be scored has a value that cannot be read. */
export class RowError extends DataError {
  /** Which of the rows handed over, from 0. */
  readonly row: number
  /** The field; undefined where the row as a whole is none. */
  readonly field: string | undefined

  constructor(message: string, { row = 0, field }: { row?: number; field?: string | undefined } = {}) {
    super(message)
    this.row = row
    this.field = field
  }
}

/** So many rows wait to be scored that no more are taken; later they will be. */
export class QueueFullError extends KernelgradError {}

/** Processes that train one model no longer do: one has failed, ended, gone silent, or does something else than the others. */
export class RankError extends KernelgradError {
  /** The rank it comes from. */
  readonly rank: number
  /** Whether this rank is the one to show it: all have the same to say. */
  readonly speaks: boolean

  constructor(message: string, { rank = 0, speaks = true } = {}) {
    super(message)
    this.rank = rank
    this.speaks = speaks
  }
}
