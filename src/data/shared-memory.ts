// A worker reads shared memory in place. Browsers have it in pages that are isolated from others only.
const Memory = typeof SharedArrayBuffer === 'undefined' ? ArrayBuffer : SharedArrayBuffer
export const sharedIds = (n: number) => new Uint32Array(new Memory(4 * n))
export const sharedFloats = (n: number) => new Float32Array(new Memory(4 * n))
