// Minutes of load with a fault every few seconds: bad rows, broken connections, a lost device, a replaced folder. Every request gets its answer.
import { fork } from 'node:child_process'
import { cpSync, renameSync, rmSync } from 'node:fs'
import { request as send } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import type { DemoRow } from './requests-model.ts'

/** Seconds between faults. */
const EVERY = 10

/** What came of it. */
export interface Soaked {
  minutes: number
  /** Requests of the load generator that were answered 200. */
  answered: number
  /** Those answered otherwise, or not at all. */
  lost: number
  perSecond: number
  p50: number
  p99: number
  max: number
  /** How often each fault was made. */
  faults: Record<string, number>
  /** After each fault. */
  memory: { seconds: number; rss: number; heapUsed: number; device: number }[]
}

/** A server with a seam for faults. */
async function startServer(model: string) {
  // Seen from dist/bench.
  const child = fork(fileURLToPath(new URL('requests-server.js', import.meta.url)), [model], {
    execArgv: ['--expose-gc'],
  })
  type Told = { url?: string; memory?: Omit<Soaked['memory'][number], 'seconds'>; event?: string }
  const next = (key: keyof Told) =>
    new Promise<NonNullable<Told[typeof key]>>((resolve, reject) => {
      const hear = (told: Told) => {
        if (told[key] === undefined) return
        child.off('message', hear)
        resolve(told[key]!)
      }
      child.on('message', hear)
      child.once('exit', code => reject(new Error(`the server ended with ${code}`)))
    })
  const url = (await next('url')) as string
  return { child, url, next }
}

/** A request by itself: its status. */
const status = (url: string, body: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const asked = send(`${url}/predict`, { method: 'POST', headers: { 'content-type': 'application/json' } })
    asked.on('response', answer => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode!))
    })
    asked.on('error', reject)
    asked.end(body)
  })

/** Connections that break in the middle of a request, and behind a whole one. */
const breakConnections = (url: string, body: string, count: number): Promise<unknown> =>
  Promise.all(
    Array.from(
      { length: count },
      (_, i) =>
        new Promise<void>(resolve => {
          const head = `POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
          const socket = connect(Number(new URL(url).port), '127.0.0.1', () =>
            socket.write(head + (i % 2 ? body : body.slice(0, 9)), () => socket.resetAndDestroy()),
          )
          socket.on('error', () => {}) // it is broken on purpose
          socket.on('close', () => resolve())
        }),
    ),
  )

export async function soak({
  folder,
  rows,
  clients,
  minutes,
}: {
  folder: string
  rows: readonly DemoRow[]
  clients: number
  minutes: number
}): Promise<Soaked> {
  const model = join(folder, 'model')
  const { child, url, next } = await startServer(model)
  const body = JSON.stringify(rows[0])
  const expectStatus = async (wanted: number, payload: string) => {
    const got = await status(url, payload)
    if (got !== wanted) throw new Error(`a bad row was answered ${got}, expected ${wanted}: ${payload}`)
  }
  const faults: Record<string, () => Promise<unknown>> = {
    'bad rows': async () => {
      for (const bad of ['{"depth": "x"}', '[]', '{', JSON.stringify({ ...rows[0], gender: 3 })])
        await expectStatus(400, bad)
    },
    'broken connections': () => breakConnections(url, body, 20),
    'devices lost': async () => {
      const replaced = next('event')
      child.send('lose')
      await replaced
    },
    'folders replaced': async () => {
      const replaced = next('event')
      cpSync(join(folder, 'other'), join(folder, 'next'), { recursive: true })
      renameSync(model, join(folder, 'other-next'))
      renameSync(join(folder, 'next'), model)
      rmSync(join(folder, 'other'), { recursive: true })
      renameSync(join(folder, 'other-next'), join(folder, 'other'))
      child.send('reload')
      await replaced
    },
  }
  const counts: Record<string, number> = Object.fromEntries(Object.keys(faults).map(name => [name, 0]))
  const memory: Soaked['memory'] = []
  const started = performance.now()
  let running = true
  const generator = autocannon({
    url,
    connections: clients,
    duration: Math.round(minutes * 60),
    timeout: 30,
    requests: rows.map(row => ({
      method: 'POST' as const,
      path: '/predict',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(row),
    })),
  })
  // It is no promise but has a `then`.
  const load = Promise.resolve(generator).finally(() => {
    running = false
  })
  const pause = () => new Promise(resolve => setTimeout(resolve, EVERY * 1000))
  try {
    const names = Object.keys(faults)
    for (let turn = 0; ; turn++) {
      await Promise.race([pause(), load])
      if (!running) break
      const name = names[turn % names.length]!
      await faults[name]!()
      counts[name]!++
      const told = next('memory')
      child.send('memory')
      const seconds = (performance.now() - started) / 1000
      memory.push({ seconds, ...((await told) as Omit<Soaked['memory'][number], 'seconds'>) })
    }
    const { latency, errors, timeouts, non2xx, duration, '2xx': answered } = await load
    const { p50, p99, max } = latency
    const lost = errors + timeouts + non2xx
    return {
      minutes,
      answered,
      lost,
      perSecond: answered / duration,
      p50,
      p99,
      max,
      faults: counts,
      memory,
    }
  } finally {
    const ended = new Promise(resolve => child.once('exit', resolve))
    if (child.connected) child.send('end')
    await ended
  }
}
