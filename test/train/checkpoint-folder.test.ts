// Checkpoint folders through kills, full disks and read-only folders. No device is needed.
// Waits for CI: it kills a hundred processes
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type CheckpointFile,
  damageOf,
  findCheckpoint,
  listCheckpoints,
  prepareOutputFolder,
  rotateCheckpoints,
  writeFolder,
} from '../../src/train/checkpoint-folder.ts'
import { generator } from '../support/gpu.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-folders-'))
const KILLS = 100
const KEPT = 2

/** Starts the loop of saves, which ends itself at a file operation, and returns the last step it called saved. */
function killAt(
  output: string,
  operation: number,
  when: 'before' | 'after',
  only: string[] = [],
): Promise<number> {
  return new Promise((resolve, reject) => {
    const args = ['dist/test/support/save-loop.js', output, String(KEPT), String(operation), when, ...only]
    const child = spawn(process.execPath, args)
    let told = ''
    child.stdout.on('data', text => {
      told += text
    })
    child.stderr.on('data', text => reject(new Error(String(text))))
    child.on('close', () => resolve(Number([...told.matchAll(/^saved (\d+)$/gm)].at(-1)?.[1] ?? 0)))
  })
}

test(`${KILLS} kills in the middle leave every checkpoint whole, and none that was saved is lost`, async () => {
  const killedIn = { tmp: 0, old: 0 }
  let lost = 0
  const killMany = async (seed: number, kills: number) => {
    const output = join(root, `kill-${seed}`)
    const random = generator(seed)
    mkdirSync(output)
    let saved = 0
    for (let kill = 0; kill < kills; kill++) {
      saved = Math.max(
        saved,
        // Every tenth falls between the two renames of a replacement.
        kill % 10
          ? await killAt(output, 1 + Math.floor(random() * 120), kill % 2 ? 'after' : 'before')
          : await killAt(output, 1 + Math.floor(random() * 3), 'after', ['.old']),
      )
      for (const name of readdirSync(output)) {
        const kind = /\.(tmp|old)$/.exec(name)?.[1] as 'tmp' | 'old' | undefined
        if (kind) killedIn[kind]++
      }
      const whole = await listCheckpoints(output)
      for (const { folder } of whole) assert.is(await damageOf(folder), undefined, folder)
      // Between the two renames of a replacement, the older folder of that name has another; a resume puts it back.
      if (saved > 0 && !whole.some(({ step }) => step >= saved)) {
        lost++
        await prepareOutputFolder(output, { resume: true })
        assert.ok(
          (await listCheckpoints(output)).some(({ step }) => step >= saved),
          `step ${saved} is gone`,
        )
      }
      if (saved >= KEPT)
        assert.ok((await listCheckpoints(output)).length >= KEPT, 'an older one is there too')
    }
  }
  await Promise.all(Array.from({ length: 4 }, (_, i) => killMany(i, KILLS / 4)))
  // The test means something only if kills fell into the saving.
  assert.ok(killedIn.tmp > KILLS / 10, `${killedIn.tmp} of ${KILLS} kills left a folder half written`)
  assert.ok(killedIn.old > 0, 'no kill fell between the renames of a replacement')
  assert.ok(lost <= killedIn.old)
})

const files = (value: number): CheckpointFile[] => [
  {
    name: 'model.safetensors',
    tensors: [{ name: 'w', dtype: 'F32', shape: [50_000], chunks: [new Uint8Array(200_000).fill(value)] }],
  },
  { name: 'trainer_state.json', json: { value } },
]

/** Lets a system call of `node:fs/promises` fail as a disk would. */
async function failing(
  name: 'mkdir' | 'rename' | 'open',
  fail: (real: typeof fs.open) => unknown,
  body: () => Promise<void>,
) {
  const real = fs[name] as typeof fs.open
  Object.assign(fs, { [name]: fail(real) })
  syncBuiltinESMExports()
  try {
    await body()
  } finally {
    Object.assign(fs, { [name]: real })
    syncBuiltinESMExports()
  }
}

const systemError = (code: string, syscall: string) =>
  Object.assign(new Error(`${code}: as the test wants it`), { code, syscall })

test('a disk that fills up in the middle is an error by name, and what was saved is as it was', async () => {
  const output = join(root, 'full')
  await writeFolder(join(output, 'checkpoint-1'), files(1))
  for (const room of [0, 100, 150_000, 200_150]) {
    let left = room
    const fail =
      (real: typeof fs.open) =>
      async (...args: Parameters<typeof fs.open>) => {
        const file = await real(...args)
        for (const method of ['write', 'writeFile'] as const) {
          const write = file[method].bind(file) as (...args: unknown[]) => Promise<unknown>
          const limited = async (bytes: Uint8Array, ...more: unknown[]) => {
            left -= bytes.length
            if (left < 0) throw systemError('ENOSPC', 'write')
            return write(bytes, ...more)
          }
          Object.assign(file, { [method]: limited })
        }
        return file
      }
    for (const name of ['checkpoint-1', 'checkpoint-2']) {
      left = room
      await failing('open', fail, async () => {
        let message = ''
        await writeFolder(join(output, name), files(2)).catch(error => {
          message = `${error.name}: ${error.message}`
        })
        assert.is(message, `CheckpointError: cannot write ${join(output, name)}: no space left on the device`)
      })
      assert.equal(readdirSync(output), ['checkpoint-1'])
      assert.is(await damageOf(join(output, 'checkpoint-1')), undefined)
      assert.match(readFileSync(join(output, 'checkpoint-1', 'trainer_state.json'), 'utf8'), /"value": 1/)
    }
  }
})

test('a folder that cannot be written is an error by name, before training and during it', async () => {
  const output = join(root, 'read-only')
  await writeFolder(join(output, 'checkpoint-1'), files(1))
  await failing(
    'mkdir',
    () => async () => {
      throw systemError('EROFS', 'mkdir')
    },
    async () => {
      for (const [work, what] of [
        [() => prepareOutputFolder(output, { resume: true }), `cannot write into ${output}`],
        [
          () => writeFolder(join(output, 'checkpoint-2'), files(2)),
          `cannot write ${join(output, 'checkpoint-2')}`,
        ],
      ] as const) {
        let message = ''
        await work().catch(error => {
          message = `${error.name}: ${error.message}`
        })
        assert.is(message, `CheckpointError: ${what}: the file system is read-only`)
      }
    },
  )
  await failing(
    'rename',
    () => async () => {
      throw systemError('EACCES', 'rename')
    },
    async () => {
      let message = ''
      await writeFolder(join(output, 'checkpoint-2'), files(2)).catch(error => {
        message = error.message
      })
      assert.match(message, /^cannot write .*checkpoint-2: permission denied$/)
    },
  )
  assert.equal(readdirSync(output), ['checkpoint-1'])
  assert.is(await damageOf(join(output, 'checkpoint-1')), undefined)
})

test('the newest whole checkpoint is found, numbers counting as numbers', async () => {
  const output = join(root, 'find')
  for (const step of [2, 10, 9]) await writeFolder(join(output, `checkpoint-${step}`), files(step))
  assert.equal(
    (await listCheckpoints(output)).map(({ step }) => step),
    [2, 9, 10],
  )
  const warnings: string[] = []
  const find = () => findCheckpoint(output, text => warnings.push(text))
  assert.is(await find(), join(output, 'checkpoint-10'))
  rmSync(join(output, 'checkpoint-10', 'trainer_state.json'))
  assert.is(await find(), join(output, 'checkpoint-9'))
  assert.match(warnings.join(), /checkpoint-10 is damaged \(.*trainer_state\.json: no such file or folder\)/)
  for (const step of [2, 9]) writeFileSync(join(output, `checkpoint-${step}`, 'model.safetensors'), 'x')
  let message = ''
  await find().catch(error => {
    message = error.message
  })
  assert.is(message, `${output} holds no whole checkpoint to go on from`)
})

test('the oldest go first, and those to keep stay', async () => {
  const output = join(root, 'rotate')
  const at = (step: number) => join(output, `checkpoint-${step}`)
  for (const step of [1, 2, 3, 10]) await writeFolder(at(step), files(step))
  await rotateCheckpoints(output, null, [])
  assert.is(readdirSync(output).length, 4)
  await rotateCheckpoints(output, 2, [at(10), at(1)])
  assert.equal(readdirSync(output).sort(), ['checkpoint-1', 'checkpoint-10'])
  await rotateCheckpoints(output, 1, [at(10), at(1)])
  assert.equal(readdirSync(output).sort(), ['checkpoint-1', 'checkpoint-10'])
})

test('what a kill left half done is cleared or put back, and other files are left alone', async () => {
  const output = join(root, 'tidy')
  await writeFolder(join(output, 'checkpoint-4'), files(4))
  await fs.rename(join(output, 'checkpoint-4'), join(output, 'checkpoint-4.0123456789ab.old'))
  for (const name of ['checkpoint-5.0123456789ab.tmp', 'mine.tmp']) mkdirSync(join(output, name))
  await prepareOutputFolder(output, { resume: true })
  assert.equal(readdirSync(output).sort(), ['checkpoint-4', 'mine.tmp'])
  assert.is(await damageOf(join(output, 'checkpoint-4')), undefined)
  assert.not(existsSync(join(output, `.${process.pid}.tmp`)))
})

test.after(() => rmSync(root, { recursive: true }))
test.run()
