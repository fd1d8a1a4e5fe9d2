/** Every kind of error that WebGPU tells of. */
const FILTERS: GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal']

/**
 * Runs synchronous calls on a device: what they return, and a promise of what the device, or an exception, says against them; it
 * never rejects. A lost device says nothing.
 */
export function guarded<T>(
  device: GPUDevice,
  run: () => T,
): [made: T | undefined, found: Promise<Error | undefined>] {
  let [made, thrown]: [T | undefined, Error | undefined] = [undefined, undefined]
  for (const filter of FILTERS) device.pushErrorScope(filter)
  try {
    made = run()
  } catch (error) {
    thrown = error as Error
  }
  const found = FILTERS.map(() => device.popErrorScope().catch(() => null))
  return [
    made,
    Promise.all(found).then(errors => {
      const error = errors.find(error => error)
      return thrown ?? (error ? new Error(error.message, { cause: error }) : undefined)
    }),
  ]
}
