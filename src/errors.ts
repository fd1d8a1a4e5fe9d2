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

/** A value in a data file or batch is missing, of the wrong type or out of range. */
export class DataError extends KernelgradError {}

/** No usable WebGPU adapter, or the device was lost. */
export class DeviceError extends KernelgradError {}

/** A weights or checkpoint file is not what the model expects. */
export class CheckpointError extends KernelgradError {}

/** The command line was called wrongly; exit code 2. */
export class UsageError extends KernelgradError {}
