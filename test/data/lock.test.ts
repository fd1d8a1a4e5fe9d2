// One writer a folder: a second is refused by name, and whatever a dead one leaves, the next gets the folder.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lockFolder } from '../../src/data/lock-node.ts'
import { isRunning, self, startOf } from '../../src/data/process-node.ts'
import { FolderInUseError } from '../../src/errors.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-lock-'))
test.after(() => rmSync(root, { recursive: true }))
let folders = 0
function folder(): string {
  const path = join(root, `${folders++}`)
  mkdirSync(path)
  return path
}

async function refusal(path: string): Promise<string> {
  try {
    await (await lockFolder(path))()
  } catch (error) {
    assert.instance(error, FolderInUseError)
    return (error as Error).message
  }
  throw new Error('the folder was free')
}

const MODULE = pathToFileURL('dist/src/data/lock-node.js').href
/** A process that takes a folder, tells how that went, and goes on until its stdin ends or it is killed. */
function holder(path: string): { child: ChildProcess; told: Promise<string>; ended: Promise<unknown> } {
  const script = `
    import { lockFolder } from '${MODULE}'
    process.stdin.on('end', () => process.exit(0)).resume()
    try { await lockFolder(${JSON.stringify(path)}); console.log('has it') } catch (error) { console.log(error.name) }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  const told = new Promise<string>((resolve, reject) => {
    child.stdout.once('data', text => resolve(String(text).trim()))
    child.stderr.once('data', text => reject(new Error(String(text))))
  })
  return { child, told, ended: new Promise(resolve => child.once('close', resolve)) }
}

test('a folder is taken once, and free again when given back', async () => {
  const path = folder()
  const release = await lockFolder(path)
  assert.match(
    await refusal(path),
    new RegExp(
      `^${path} is in use: this process \\(${process.pid}\\), started \\d{4}-.*Z, writes into it; wait`,
    ),
  )
  symlinkSync(path, join(root, 'link'))
  await refusal(join(root, 'link'))
  await release()
  assert.equal(readdirSync(path), [])
  await (await lockFolder(path))()
  assert.equal(readdirSync(path), [])
})

test('another process is named, and one that was killed, or ended in whatever way, is not waited for', async () => {
  const path = folder()
  for (const end of ['SIGKILL', 'SIGTERM', 'exit'] as const) {
    const { child, told, ended } = holder(path)
    assert.is(await told, 'has it')
    assert.match(await refusal(path), new RegExp(`is in use: process ${child.pid}, started \\d{4}-`))
    if (end === 'exit') child.stdin!.end()
    else child.kill(end)
    await ended
    if (end !== 'exit') assert.ok(existsSync(join(path, '.lock')), 'it had no time')
    await (await lockFolder(path))()
    assert.equal(readdirSync(path), [])
  }
})

const claim = (more: object) =>
  JSON.stringify({ ...self(), key: 'a-key', since: '2020-01-01T00:00:00Z', ...more })

test('an id that is used again is another process', async () => {
  const path = folder()
  // This very process's id, as one had it that started at another time.
  writeFileSync(join(path, '.lock'), claim({ start: `${self().start}0` }))
  await (await lockFolder(path))()
  assert.equal(readdirSync(path), [])
  assert.is(startOf(spawnSync(process.execPath, ['-e', '']).pid), undefined)
  assert.is(isRunning(self()), true)
})

test('a killed take-over is followed, at each of its steps', async () => {
  const dead = (key: string) => claim({ start: 'then', key })
  for (const left of [
    { '.lock': dead('a'), '.lock.a': dead('b') },
    { '.lock': dead('a'), '.lock.a': dead('b'), '.lock.b': dead('c') },
    { '.lock': dead('b'), '.lock.a': dead('b') },
    { '.lock.a': dead('b') },
  ]) {
    const path = folder()
    for (const [name, text] of Object.entries(left)) writeFileSync(join(path, name), text)
    const release = await lockFolder(path)
    assert.equal(readdirSync(path), ['.lock'])
    await refusal(path)
    await release()
    assert.equal(readdirSync(path), [])
  }
})

test('of many that find a dead holder at once, one gets the folder', async () => {
  for (let round = 0; round < 2; round++) {
    const path = folder()
    writeFileSync(join(path, '.lock'), claim({ start: 'then', key: `k${round}` }))
    const holders = Array.from({ length: 4 }, () => holder(path))
    const told = await Promise.all(holders.map(({ told }) => told))
    assert.equal(told.sort(), [...Array(3).fill('FolderInUseError'), 'has it'])
    for (const { child } of holders) child.kill('SIGKILL')
    await Promise.all(holders.map(({ ended }) => ended))
    await (await lockFolder(path))()
    assert.equal(readdirSync(path), [])
  }
})

test('a holder elsewhere, whom nobody here can look at, is waited for until it is silent for long', async () => {
  const path = folder()
  const lock = join(path, '.lock')
  for (const text of [claim({ place: 'elsewhere pid:[1]' }), '', '{"pid":', 'null', '[]']) {
    writeFileSync(lock, text)
    const message = await refusal(path)
    assert.match(
      message,
      /is in use: .* writes into it and gave a sign \d+ seconds ago; after 300 seconds without one/,
    )
    assert.match(message, new RegExp(`has surely ended, remove ${lock}$`))
    if (text.includes('elsewhere'))
      assert.match(message, `process ${process.pid} of elsewhere pid:[1], started 2020`)
    const longAgo = Date.now() / 1000 - 3600
    utimesSync(lock, longAgo, longAgo)
    await (await lockFolder(path))()
    assert.equal(readdirSync(path), [])
  }
  assert.match(self().place, hostname())
})

test('the file says who has the folder', async () => {
  const path = folder()
  const release = await lockFolder(path)
  const { pid, since } = JSON.parse(readFileSync(join(path, '.lock'), 'utf8'))
  assert.is(pid, process.pid)
  assert.ok(Math.abs(Date.parse(since) - (Date.now() - process.uptime() * 1000)) < 60_000)
  await release()
})

test.run()
