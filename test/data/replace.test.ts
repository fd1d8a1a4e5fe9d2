// Files that take the place of others: links, modes, devices, pipes, folders, and what dead processes left.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isStdout } from '../../src/cli/outputs.ts'
import { writeFileAtomic, writeJson } from '../../src/data/files.ts'
import { files } from '../../src/data/files-node.ts'
import { writeParquet } from '../../src/data/index.ts'
import { ownerMark, self } from '../../src/data/process-node.ts'
import { moveInPlace, passingNameOf } from '../../src/data/replace-node.ts'
import { writeSafetensors } from '../../src/data/safetensors-file.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-replace-'))
test.after(() => rmSync(root, { recursive: true }))
const at = (...names: string[]) => join(root, ...names)
let folders = 0
function folder(): string {
  const path = at(`f${folders++}`)
  mkdirSync(path)
  return path
}

/** Every writer of single files, and what tells its file. */
const WRITERS: Record<string, { write: (path: string) => Promise<unknown>; starts: string }> = {
  text: { write: path => writeFileAtomic(path, file => file.write('new text')), starts: 'new text' },
  json: { write: path => writeJson(path, { a: 1 }), starts: '{' },
  parquet: { write: path => writeParquet(path, [{ name: 'a', kind: 'int64', data: [1] }]), starts: 'PAR1' },
  safetensors: {
    write: path =>
      writeSafetensors(path, [{ name: 'w', dtype: 'F32', shape: [1], chunks: [new Uint8Array(4)] }]),
    starts: '@',
  },
  moved: {
    async write(path) {
      const from = at(`from${folders++}`)
      writeFileSync(from, 'moved text')
      await moveInPlace(from, path)
      assert.not(existsSync(from))
    },
    starts: 'moved',
  },
}
const startsWith = (path: string, starts: string) =>
  assert.is(
    readFileSync(path, 'latin1').slice(0, starts.length),
    starts === '@' ? readFileSync(path, 'latin1')[0]! : starts,
  )

test('modes are kept, also those without writing, and new files have the usual one', async () => {
  const usual = at('usual')
  writeFileSync(usual, '')
  for (const { write, starts } of Object.values(WRITERS)) {
    const path = join(folder(), 'file')
    await write(path)
    assert.is(statSync(path).mode, statSync(usual).mode)
    for (const mode of [0o600, 0o640, 0o444, 0o755]) {
      chmodSync(path, mode)
      await write(path)
      startsWith(path, starts)
      assert.is(statSync(path).mode & 0o7777, mode)
    }
  }
})

test('links are followed, in chains, relative, through folders, and to nothing', async () => {
  for (const { write, starts } of Object.values(WRITERS)) {
    const here = folder()
    mkdirSync(join(here, 'other', 'deep'), { recursive: true })
    symlinkSync(join('other', 'deep'), join(here, 'way'))
    symlinkSync('../file', join(here, 'other', 'deep', 'up')) // other/file
    symlinkSync(join('way', 'up'), join(here, 'link'))
    symlinkSync(join(here, 'link'), join(here, 'first'))
    for (const name of ['first', 'link']) {
      await write(join(here, name)) // at first, nothing is there
      startsWith(join(here, 'other', 'file'), starts)
      assert.ok(lstatSync(join(here, name)).isSymbolicLink())
      rmSync(join(here, 'other', 'file'))
      writeFileSync(join(here, 'other', 'file'), 'old', { mode: 0o600 })
      await write(join(here, name))
      startsWith(join(here, 'other', 'file'), starts)
      assert.is(statSync(join(here, 'other', 'file')).mode & 0o777, 0o600)
    }
    assert.is(readlinkSync(join(here, 'first')), join(here, 'link'))
    assert.equal(readdirSync(join(here, 'other')).sort(), ['deep', 'file'])
    symlinkSync('round', join(here, 'round'))
    await write(join(here, 'round')).then(
      () => assert.unreachable(),
      error => assert.match(error.message, /its links lead in a circle|ELOOP/),
    )
  }
})

const fifo = (path: string) => execFileSync('sh', ['-c', 'mkfifo "$0"', path])

test('pipes and devices are written through', async () => {
  for (const { write, starts } of Object.values(WRITERS)) {
    const path = join(folder(), 'pipe')
    fifo(path)
    const reader = spawn('cat', [path])
    const read: Buffer[] = []
    reader.stdout.on('data', part => read.push(part))
    const [, code] = await Promise.all([write(path), new Promise(resolve => reader.on('close', resolve))])
    assert.is(code, 0)
    if (starts !== '@') assert.is(Buffer.concat(read).toString('latin1').slice(0, starts.length), starts)
    assert.ok(Buffer.concat(read).length > 7)
    assert.ok(lstatSync(path).isFIFO())
    const link = join(folder(), 'null')
    symlinkSync('/dev/null', link)
    for (const device of ['/dev/null', link]) {
      await write(device)
      assert.ok(statSync(device).isCharacterDevice())
    }
    assert.ok(lstatSync(link).isSymbolicLink())
  }
  let message = ''
  await writeJson('/dev/full', 1).catch(error => {
    message = `${error.name}: ${error.message}`
  })
  assert.is(message, 'DataError: cannot write /dev/full: no space left on the device')
  assert.ok(statSync('/dev/full').isCharacterDevice())
})

test('/dev/stdout and its other names are where stdout goes, be it a pipe, a socket or a file', async () => {
  const script = `
    import { writeJson } from './dist/src/data/files.js'
    await writeJson(process.argv[1], { told: 1 })
    process.stdout.write('after\\n')`
  const node = (path: string) => [process.execPath, '--input-type=module', '-e', script, path]
  const says = '{\n  "told": 1\n}\nafter\n'
  for (const path of ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']) {
    const [command, ...args] = node(path) as [string, ...string[]]
    const socket = spawnSync(command, args, { encoding: 'utf8' })
    assert.is(socket.stdout, says, socket.stderr)
    const out = join(folder(), 'out')
    const quoted = node(path)
      .map(word => `'${word.replaceAll("'", `'\\''`)}'`)
      .join(' ')
    assert.is(spawnSync('sh', ['-c', `${quoted} | cat`], { encoding: 'utf8' }).stdout, says)
    writeFileSync(out, 'before\n')
    spawnSync('sh', ['-c', `${quoted} >> ${out}`])
    assert.is(readFileSync(out, 'utf8'), `before\n${says}`)
    assert.ok(await isStdout(path))
  }
  assert.not(await isStdout(at('no file')))
  const other = spawnSync('sh', [
    '-c',
    `${node('/dev/fd/5')
      .map(w => `'${w.replaceAll("'", `'\\''`)}'`)
      .join(' ')} 5> ${at('five')}`,
  ])
  assert.is(other.status, 0, String(other.stderr))
  assert.is(readFileSync(at('five'), 'utf8'), '{\n  "told": 1\n}\n')
})

test('a folder where a file is expected, and the other way, is an error by name, and nothing is left', async () => {
  for (const { write } of Object.values(WRITERS)) {
    const path = folder()
    writeFileSync(join(path, 'file'), 'x')
    for (const [target, says] of [
      [path, /EISDIR|it is a folder/],
      [join(path, 'file', 'below'), /ENOTDIR|part of the path is a file, not a folder/],
      [join(path, 'none', 'below'), /ENOENT|no such file or folder/],
    ] as const)
      await write(target).then(
        () => assert.unreachable(),
        error => assert.match(error.message, says),
      )
    assert.equal(readdirSync(path), ['file'])
  }
  await files.makeFolder(at('f0', 'file')).then(
    () => assert.unreachable(),
    error => assert.is(files.reason(error), 'it is a file, not a folder'),
  )
})

test('folders are made through links, and where none can be made it ends', async () => {
  const here = folder()
  symlinkSync(join('a', 'b'), join(here, 'link'))
  await files.makeFolder(join(here, 'link', 'c'))
  assert.ok(statSync(join(here, 'a', 'b', 'c')).isDirectory())
  await files.makeFolder(join(here, 'a'))
  if (existsSync('/proc'))
    await files.makeFolder('/proc/nope/x').then(
      () => assert.unreachable(),
      error => assert.is(files.reason(error), 'no such file or folder'),
    )
})

test('what dead processes left beside a file goes with the next writing, and nothing else', async () => {
  const here = folder()
  const path = join(here, 'out')
  const dead = ownerMark({ ...self(), start: 'then' })
  const elsewhere = ownerMark({ ...self(), place: 'elsewhere' })
  const stay = [
    `out.${elsewhere}abcdef.tmp`, // of another machine
    `out.${ownerMark(self())}abcdef.tmp`, // of this process
    'out.0123456789ab.tmp', // nobody's
    `outer.${dead}abcdef.tmp`,
    `out.${dead}abcdef.tmp.txt`,
    `.out.${dead}abcdef.tmp`,
  ]
  for (const name of [...stay, `out.${dead}abcdef.tmp`]) writeFileSync(join(here, name), 'half')
  await writeJson(path, 1)
  assert.equal(readdirSync(here).sort(), ['out', ...stay].sort())
})

test('a process that ends in the middle takes what it was writing along, and one that is killed leaves it to the next', async () => {
  for (const end of ['process.exit(3)', "process.kill(process.pid, 'SIGKILL')"]) {
    const here = folder()
    const script = `
      import { writeFileAtomic } from './dist/src/data/files.js'
      await writeFileAtomic('${join(here, 'out')}', async file => {
        await file.write('half')
        ${end}
        await new Promise(() => setInterval(() => {}, 1000))
      })`
    writeFileSync(join(here, 'out'), 'older')
    spawnSync(process.execPath, ['--input-type=module', '-e', script])
    assert.is(readFileSync(join(here, 'out'), 'utf8'), 'older')
    assert.is(readdirSync(here).length, end.includes('exit') ? 1 : 2)
    await writeJson(join(here, 'out'), 1)
    assert.equal(readdirSync(here), ['out'])
  }
})

test('a folder that was being replaced comes back', async () => {
  const here = folder()
  const path = join(here, 'model')
  const old = `${path}.${ownerMark({ ...self(), start: 'then' })}abcdef.old`
  mkdirSync(old)
  writeFileSync(join(old, 'config.json'), '{}')
  mkdirSync(old.replace('.old', '.tmp'))
  await files.settle(path, 'config.json')
  assert.equal(readdirSync(here), ['model'])
  assert.equal(readdirSync(path), ['config.json'])
})

test('identities see through links of both kinds, and tell what is missing', async () => {
  const here = folder()
  writeFileSync(join(here, 'a'), 'x')
  linkSync(join(here, 'a'), join(here, 'hard'))
  symlinkSync('a', join(here, 'soft'))
  writeFileSync(join(here, 'b'), 'x')
  const [a, hard, soft, b, none, below] = await Promise.all(
    ['a', 'hard', 'soft', 'b', 'none', 'a/below'].map(name => files.identity(join(here, name))),
  )
  assert.ok(a)
  assert.equal([hard, soft], [a, a])
  assert.is.not(b, a)
  assert.equal([none, below], [undefined, undefined])
  assert.match(passingNameOf('x'), /^x\.[0-9a-f]{24}\.tmp$/)
})

test.run()
