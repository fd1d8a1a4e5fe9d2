// Rows in, scores out, over HTTP. Whatever is wrong with a request is answered with a status of 400 and more that says so.
import type { Socket } from 'node:net'
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { duplicateKey } from '../../data/json-keys.ts'
import {
  ArgumentError,
  ConfigError,
  DataError,
  DeviceError,
  KernelgradError,
  QueueFullError,
  RowError,
} from '../../errors.ts'
import type { Row, Scorer } from '../../serve/index.ts'
import { RequestMetrics } from './metrics.ts'

/** What a request may be. */
export interface AppLimits {
  /** Rows of a request at most. */
  maxRows: number
  /** Bytes of a body at most. */
  bodyLimit: number
  /** Milliseconds that a request may take to come, and again to be answered. */
  timeout: number
}

/** What a request that failed is answered with. */
interface Refusal {
  status: number
  error: string
  row?: number
  field?: string
  /** Seconds after which it may be tried again. */
  retryAfter?: number
}

/** A request took too long. */
class TimeoutError extends KernelgradError {}
/** Nobody listens for the answer any more. */
class GoneError extends KernelgradError {}

/** The server of a scorer, which is not listening yet. */
export function createApp(scorer: Scorer, { maxRows, bodyLimit, timeout }: AppLimits): FastifyInstance {
  const metrics = new RequestMetrics()
  const app = Fastify({
    bodyLimit,
    requestTimeout: timeout,
    connectionTimeout: 0, // a client may keep its connection
    keepAliveTimeout: 72_000, // longer than load balancers', whose next request would find it closed
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    exposeHeadRoutes: false,
    clientErrorHandler: answerBroken,
  })

  // A connection that is kept after its last answer would keep the server from ending.
  let closing = false
  app.addHook('preClose', done => {
    closing = true
    done()
  })
  app.addHook('onSend', (_, reply, payload, done) => {
    if (closing) reply.header('connection', 'close')
    done(null, payload)
  })
  // The library's own does not say where a text stops being JSON.
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) => {
    try {
      done(null, parsed(textOf(body as Buffer)))
    } catch (error) {
      done(error as Error)
    }
  })
  app.setErrorHandler((error: FastifyError, _, reply) => refuse(reply, refusalOf(error, bodyLimit)))
  app.setNotFoundHandler((request, reply) => {
    const known = { '/predict': 'POST', '/health': 'GET', '/metrics': 'GET' }
    const path = request.url.split('?')[0]!
    const method = Object.hasOwn(known, path) ? known[path as keyof typeof known] : undefined
    if (method === undefined)
      return refuse(reply, {
        status: 404,
        error: `${request.method} ${path} is unknown, expected ${Object.entries(known)
          .map(([path, method]) => `${method} ${path}`)
          .join(', ')}`,
      })
    reply.header('allow', method)
    return refuse(reply, { status: 405, error: `${request.method} ${path}: expected ${method}` })
  })

  app.get('/health', (_, reply) => {
    const { ready } = scorer.state()
    reply.code(ready ? 200 : 503)
    return {
      status: ready ? 'ok' : 'replacing a lost device',
      adapter: scorer.adapter,
      fields: Object.fromEntries(scorer.fields.map(({ name, expected }) => [name, expected])),
    }
  })

  app.get('/metrics', (_, reply) => {
    reply.type('text/plain; version=0.0.4; charset=utf-8')
    return metrics.text(scorer.state())
  })

  app.post('/predict', {
    onRequest: (_, reply, done) => {
      const started = performance.now()
      metrics.begin()
      let ended = false
      // Answered, or its connection broken: one of them comes first.
      const end = (code: number | undefined) => {
        if (!ended) metrics.end(code, (performance.now() - started) / 1000)
        ended = true
      }
      reply.raw.once('finish', () => end(reply.statusCode)).once('close', () => end(undefined))
      done()
    },
    handler: (request, reply) => predict(scorer, request, reply, { maxRows, timeout }),
  })
  return app
}

async function predict(
  scorer: Scorer,
  { body }: FastifyRequest,
  reply: FastifyReply,
  { maxRows, timeout }: Pick<AppLimits, 'maxRows' | 'timeout'>,
): Promise<unknown> {
  const many = Array.isArray(body)
  if (!many && (typeof body !== 'object' || body === null))
    throw new ArgumentError(
      `the body is ${body === undefined ? 'empty' : JSON.stringify(body).slice(0, 40)}, expected a row, as {"field": value}, or an array of rows`,
    )
  const rows = (many ? body : [body]) as Row[]
  if (rows.length > maxRows)
    return refuse(reply, {
      status: 413,
      error: `the request has ${rows.length} rows, expected at most ${maxRows} (--max-rows); send them in several requests`,
    })
  const stop = new AbortController()
  const gone = () => {
    if (!reply.raw.writableFinished) stop.abort(new GoneError('the client has gone'))
  }
  reply.raw.once('close', gone)
  const late = setTimeout(
    () => stop.abort(new TimeoutError(`the request was not answered within ${timeout / 1000} s (--timeout)`)),
    timeout,
  )
  try {
    const scores = await scorer.predictRows(rows, { signal: stop.signal })
    return many ? scores : scores[0]
  } finally {
    clearTimeout(late)
    reply.raw.off('close', gone)
  }
}

/** @throws ArgumentError for bytes that are no UTF-8, which would become other signs in silence */
function textOf(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch (error) {
    throw new ArgumentError('the body is not UTF-8, as JSON has to be', { cause: error })
  }
}

/** @throws ArgumentError for what is no JSON, or names a field twice, of which the last would count in silence */
function parsed(body: string): unknown {
  let rows: unknown
  try {
    rows = JSON.parse(body)
  } catch (error) {
    throw new ArgumentError(
      body.length
        ? `the body is no JSON: ${(error as Error).message}`
        : 'the body is empty, expected a row, as {"field": value}, or an array of rows',
    )
  }
  const twice = duplicateKey(body)
  if (twice !== undefined) throw new ArgumentError(`field '${twice}' stands twice in a row, expected it once`)
  return rows
}

function refuse(reply: FastifyReply, { status, retryAfter, ...told }: Refusal): FastifyReply {
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  return reply.code(status).send(told)
}

/** Words of errors without the call that they are of in the library. */
const words = ({ message }: Error) => message.replace(/^predictRows: /, '')

/** Statuses that the server's own library gives, and what to do then. */
const HINTS: Record<string, string> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'send JSON, with the header content-type: application/json',
}

function refusalOf(error: FastifyError, bodyLimit: number): Refusal {
  if (error instanceof RowError)
    return {
      status: 400,
      error: words(error),
      row: error.row,
      ...(error.field !== undefined && { field: error.field }),
    }
  if (error instanceof ArgumentError || error instanceof DataError || error instanceof ConfigError)
    return { status: 400, error: words(error) }
  if (error instanceof QueueFullError || error instanceof TimeoutError || error instanceof DeviceError)
    return { status: 503, error: words(error), retryAfter: 1 }
  if (error instanceof GoneError) return { status: 499, error: words(error) }
  const status = error.statusCode ?? 500
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return { status, error: `the body is longer than ${bodyLimit} bytes (--body-limit)` }
  const hint = HINTS[error.code]
  if (status >= 500) process.stderr.write(`error: ${error.stack ?? error.message}\n`)
  return { status, error: hint === undefined ? error.message : `${error.message}; ${hint}` }
}

/** What is no HTTP, or too slow to come: answered where somebody still listens. */
function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, text] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ['408 Request Timeout', 'the request took too long to come']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? ['431 Request Header Fields Too Large', 'the headers are too long']
        : ['400 Bad Request', `this is no HTTP request: ${error.message}`]
  const body = JSON.stringify({ error: text })
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
