// A model behind HTTP: loaded, warmed up, listening, until a signal ends it.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { ConfigError } from '../../errors.ts'
import { openGpu } from '../../gpu/index.ts'
import { Scorer, type ScorerEvent } from '../../serve/index.ts'
import { useArchitecture } from '../architecture.ts'
import { onInterrupt } from '../interrupt.ts'
import { talkStream } from '../say.ts'
import { checkModel } from '../score.ts'
import { createApp } from '../serve/app.ts'
import { warmUp } from '../serve/warm-up.ts'

export interface ServeCommandOptions {
  model: string
  architecture?: string
  adapter?: string
  truncate?: boolean
  port: number
  host: string
  batchSize: number
  wait: number
  queue: number
  maxRows: number
  bodyLimit: number
  timeout: number
  json?: boolean
}

/** Milliseconds between looks at the folder. */
const LOOK = 1000

/** Serves until a signal comes; requests under way are answered then. */
export async function run(options: ServeCommandOptions): Promise<void> {
  const { model, adapter, truncate = false, batchSize, wait, queue, json } = options
  const stream = talkStream(json)
  if (options.architecture) await useArchitecture(options.architecture)
  await checkModel(model)
  await tryPort(options)
  const open = () => openGpu({ adapter })
  const tell = (event: ScorerEvent) => void process.stderr.write(`${wordsOf(event, model)}\n`)
  const scorer = await Scorer.open(model, {
    open,
    batch: batchSize,
    wait,
    queue,
    truncate,
    onEvent: tell,
  })
  try {
    stream.write(`${scorer.adapter}\n`)
    const { maxRows, bodyLimit, timeout } = options
    const limits = { maxRows, bodyLimit: bodyLimit * 1024, timeout: timeout * 1000 }
    await warmUp(scorer, limits)
    const app = createApp(scorer, limits)
    const url = await listen(app, options)
    const interrupted = new Promise<void>(resolve => {
      const back = onInterrupt(() => {
        back()
        resolve()
      }, 'requests under way are answered')
    })
    if (json) process.stdout.write(`${JSON.stringify({ url })}\n`)
    else stream.write(`listening on ${url}\n`)
    const look = setInterval(() => void scorer.reload(), LOOK)
    await interrupted
    clearInterval(look)
    await app.close()
  } finally {
    await scorer.close()
  }
}

const REFUSED: Record<string, (at: { host: string; port: number }) => string> = {
  EADDRINUSE: ({ host, port }) =>
    `port ${port} of ${host} is in use; name another by --port, or 0 for any that is free`,
  EACCES: ({ port }) => `port ${port} is not for this user; name one of 1024 and above by --port`,
  EADDRNOTAVAIL: ({ host }) =>
    `${host} is no address of this machine; name one by --host, or 0.0.0.0 for all`,
  ENOTFOUND: ({ host }) => `${host} is no address; name one by --host, as 127.0.0.1`,
}

const listen = (app: FastifyInstance, at: ServeCommandOptions): Promise<string> =>
  listening(at, () => app.listen({ host: at.host, port: at.port }))

/** Listens and stops: what is in the way is told before a model is loaded. */
const tryPort = (at: ServeCommandOptions): Promise<void> =>
  listening(at, async () => {
    const server = createServer().listen(at.port, at.host)
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
  })

/** @throws ConfigError where nothing can listen there */
async function listening<T>({ host, port }: ServeCommandOptions, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const refused = REFUSED[(error as NodeJS.ErrnoException).code ?? '']
    if (!refused) throw error
    throw new ConfigError(`serve: ${refused({ host, port })}`, { cause: error })
  }
}

function wordsOf(event: ScorerEvent, model: string): string {
  if (event.kind === 'device lost') return `${event.error.message}; opening another one`
  if (event.kind === 'device replaced') return 'another device has taken over'
  if (event.kind === 'model replaced') return `${model} was replaced, and is in use`
  return `${model} was replaced by what cannot be used, the model before stays: ${event.error.message}`
}
