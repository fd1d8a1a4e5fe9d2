// A library that runs in a process of its own: one JSON request a line, one JSON answer a line. It blocks on its standard
// input between turns, so it takes nothing from whoever is being timed, and a crash ends nobody else.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export type Request =
  | { do: 'open'; threads: number; backend: string; adapter: string | undefined }
  | { do: 'train' | 'operator' | 'score'; work: object }
  | { do: 'run'; count: number }
  | { do: 'values' | 'end' }

export interface Answer {
  error?: string
  version?: string
  ms?: number
  /** Milliseconds of each row that was scored. */
  times?: number[]
  losses?: (number | null)[]
  values?: number[]
}

/** How a library is started, or why it cannot be. */
export interface PeerFound {
  name: string
  backend: string
  command: string
  args: string[]
  /** One sentence with what mends it. */
  missing?: string
}

// Seen from dist/bench/compare.
const folder = fileURLToPath(new URL('../../../bench/peers/', import.meta.url))
const installed = (name: string) => existsSync(`${folder}node_modules/${name}/package.json`)

/** jax-js calls methods of iterators, which Node has by default since version 22. */
const ITERATORS = 'Iterator' in globalThis ? [] : ['--harmony-iterator-helpers']

/** Every library that a comparison knows. */
export function findPeers(): PeerFound[] {
  const script = (name: string, file: string, npm: string, backend: string): PeerFound => ({
    name: `${name} ${backend}`,
    backend,
    command: process.execPath,
    args: [...ITERATORS, `${folder}${file}`],
    missing: installed(npm) ? undefined : 'not installed; npm ci --prefix bench/peers installs it',
  })
  return [
    findTorch(),
    ...['webgpu', 'wasm'].map(backend => script('tfjs', 'tfjs.mjs', '@tensorflow/tfjs-core', backend)),
    ...['webgpu', 'wasm'].map(backend => script('jax-js', 'jax.mjs', '@jax-js/jax', backend)),
  ]
}

function findTorch(): PeerFound {
  const command = process.env.KERNELGRAD_PYTHON ?? 'python3'
  const found: PeerFound = { name: 'PyTorch', backend: 'cpu', command, args: [`${folder}torch_peer.py`] }
  try {
    execFileSync(command, ['-c', 'import torch'], { stdio: 'ignore' })
  } catch {
    const mend = 'pip install torch, or set KERNELGRAD_PYTHON to a Python that has it'
    return { ...found, missing: `${command} cannot import torch; ${mend}` }
  }
  return found
}

/** A running peer. */
export class Peer {
  readonly name: string
  /** What it says it is. */
  version = ''
  /** Why it takes part no longer. */
  failure: string | undefined
  readonly #process: ChildProcess
  readonly #limit: number
  #answer: ((answer: Answer) => void) | undefined
  #errors = ''

  private constructor({ name, command, args }: PeerFound, limit: number) {
    this.name = name
    this.#limit = limit
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    createInterface({ input: this.#process.stdout! }).on('line', line => {
      if (line.startsWith('{')) this.#settle(JSON.parse(line) as Answer)
    })
    this.#process.stderr!.on('data', data => {
      this.#errors = `${this.#errors}${data}`.slice(-2000)
    })
    this.#process.on('error', error => this.#end(error.message))
    this.#process.on('exit', (code, signal) => {
      const last = this.#errors.trim().split('\n').at(-1)
      this.#end(`its process ended with ${signal ?? `code ${code}`}${last ? `: ${last}` : ''}`)
    })
    this.#process.stdin!.on('error', () => {}) // the exit event says why
  }

  /** Starts a peer; `limit` is the most milliseconds one answer may take. */
  static async start(found: PeerFound, limit: number): Promise<Peer> {
    const peer = new Peer(found, limit)
    const threads = availableParallelism()
    const adapter = process.env.KERNELGRAD_ADAPTER
    const { version, error } = await peer.ask({ do: 'open', threads, backend: found.backend, adapter })
    peer.version = version ?? ''
    if (error) peer.#end(error)
    return peer
  }

  /** Sends a request. An answer with an error leaves the peer able to do other work, unless its process ended. */
  async ask(request: Request): Promise<Answer> {
    if (this.failure) return { error: this.failure }
    return new Promise<Answer>(resolve => {
      const late = `no answer to '${request.do}' within ${this.#limit / 1000} s`
      const timer = setTimeout(() => this.#end(late), this.#limit)
      this.#answer = answer => {
        clearTimeout(timer)
        resolve(answer)
      }
      this.#process.stdin!.write(`${JSON.stringify(request)}\n`)
    })
  }

  close(): void {
    this.failure ??= 'closed'
    this.#process.kill('SIGKILL')
  }

  /** The peer takes part no longer. */
  #end(why: string): void {
    const reason = why.split('\n')[0]!
    this.failure ??= reason
    this.#process.kill('SIGKILL')
    this.#settle({ error: reason })
  }

  #settle(answer: Answer): void {
    this.#answer?.(answer)
    this.#answer = undefined
  }
}
