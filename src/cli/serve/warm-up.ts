// A server's whole way from socket to scores, once before anyone waits for it: code that has run is compiled, and sockets have been made.
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Scorer } from '../../serve/index.ts'
import { type AppLimits, createApp } from './app.ts'

/** Requests after which times stay as they are. */
const REQUESTS = 20

/** Scores made-up rows in batches of every size, and a row by requests to a server of its own, which counts for no figure. */
export async function warmUp(scorer: Scorer, limits: AppLimits): Promise<void> {
  await scorer.warmUp()
  const app = createApp(scorer, limits)
  try {
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    for (let i = 0; i < REQUESTS; i++) await ask(port, JSON.stringify(scorer.example))
  } finally {
    await app.close()
  }
}

/** The answer is of no interest. */
const ask = (port: number, body: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        path: '/predict',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      },
      answer => answer.resume().on('end', resolve),
    )
    asked.on('error', reject)
    asked.end(body)
  })
