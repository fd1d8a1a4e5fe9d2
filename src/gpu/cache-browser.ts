// Browsers only: where what took time to measure is kept for the next visit, in a database of the site's own. It is read whole before the
// first device is opened, so that everybody after asks without waiting, as in Node.
import { ConfigError } from '../errors.ts'

const DATABASE = 'kernelgrad'
const STORE = 'cache'

const kept = new Map<string, string>()
/** Why nothing can be kept. */
let refusal: string | undefined
let reading: Promise<void> | undefined

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

function open(): Promise<IDBDatabase> {
  if (typeof indexedDB === 'undefined') throw new Error('there is no IndexedDB here')
  const request = indexedDB.open(DATABASE, 1)
  request.onupgradeneeded = () => request.result.createObjectStore(STORE)
  return settled(request)
}

async function readAll(): Promise<void> {
  try {
    const database = await open()
    try {
      const store = database.transaction(STORE).objectStore(STORE)
      const [names, texts] = await Promise.all([settled(store.getAllKeys()), settled(store.getAll())])
      for (const [i, name] of names.entries()) kept.set(String(name), String(texts[i]))
    } finally {
      database.close()
    }
  } catch (error) {
    refusal = reasonOf(error) // a visitor may have switched it off; whoever writes is told
  }
}

/** Reads what is kept, once; whoever opens a device waits for it. */
export function prepareCache(): Promise<void> {
  reading ??= readAll()
  return reading
}

/** What is kept under a name. */
export const readCache = (name: string): string | undefined => kept.get(name)

/**
 * Keeps a text under a name; returns where.
 * @throws ConfigError where the browser keeps nothing; this page has it all the same
 */
export async function writeCache(name: string, text: string): Promise<string> {
  kept.set(name, text)
  try {
    const database = await open()
    try {
      const transaction = database.transaction(STORE, 'readwrite')
      const done = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve()
        transaction.onabort = () => reject(transaction.error)
      })
      transaction.objectStore(STORE).put(text, name)
      await done
    } finally {
      database.close()
    }
  } catch (error) {
    throw new ConfigError(`what was measured cannot be kept in this browser: ${refusal ?? reasonOf(error)}`, {
      cause: error,
    })
  }
  return `IndexedDB ${DATABASE}/${STORE}/${name}`
}
