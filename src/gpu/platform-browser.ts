import type { Source } from './platform-node.ts'

/** The browser has one source of WebGPU. */
export const sources: Source[] = [
  {
    kind: 'native',
    open: async () => navigator.gpu ?? 'this browser has no navigator.gpu; use one with WebGPU switched on',
  },
]

/** Browsers have no environment variables. */
export const adapterSetting = (): string | undefined => undefined

export const formsSetting = (): string | undefined => undefined

export const tuningSetting = (): string | undefined => undefined

/** A browser does not tell; what it keeps stays on one machine. */
export const processor = (): string => ''

export { prepareCache, readCache, writeCache } from './cache-browser.ts'

/** A browser's await sleeps by itself. */
export const wait = <T>(promise: Promise<T>): Promise<T> => promise
