/** The JSON files that are read: spelled otherwise, which must read the same, and damaged, which may end in one clear error only. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  fillSizes,
  parseEncoderConfig,
  parseFeatureSizes,
  parseModelConfig,
  parseTrainingConfig,
} from '../../src/config/index.ts'
import { readJson } from '../../src/data/files.ts'
import { type RandomStream, randomStream } from '../../src/data/shuffle.ts'
import { loadTokenizer } from '../../src/data/tokenizer.ts'
import { damageOf, findCheckpoint, writeFolder } from '../../src/train/checkpoint-folder.ts'
import { parseRunReport } from '../../src/train/index.ts'
import { parseResumePoint, parseTrainerState } from '../../src/train/saved-state.ts'
import { notebook } from '../config/notebook.ts'
import { sampleReport } from '../support/sample-report.ts'
import { type Format, refusal } from './case.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A file's content, and what reading it gives: anything that deep equality can compare. */
interface Subject {
  file: string
  bases: Json[]
  read(folder: string): Promise<unknown>
}

const parsed = async <T>(folder: string, file: string, parse: (json: unknown, where: string) => T) =>
  parse(await readJson(join(folder, file)), file)

const SIZES = {
  features_config: { title: { dtype: 'token_id' }, gender: { dtype: 'categorical', vocab_size: 4 } },
  vocab_size: 30,
  pad_token_id: 29,
  num_labels: 2,
  rows: { read: 9, train: 5, test: 3 },
  clicks: { train: 2, test: 1 },
  seed: 1,
}

const TEXTS = ['', 'best headphones', 'Ünïcode 日本 word##s!', 'a'.repeat(300), '[CLS] [MASK]']

const asJson = (value: unknown) => JSON.parse(JSON.stringify(value)) as Json
const jsonOf = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Json

const SUBJECTS: Record<string, Subject> = {
  config: {
    file: 'config.json',
    bases: [asJson(notebook())],
    read: folder => parsed(folder, 'config.json', parseModelConfig),
  },
  encoder: {
    file: 'config.json',
    bases: ['bert', 'distilbert'].map(name => jsonOf(`test/golden/encoders/${name}/config.json`)),
    read: folder => parsed(folder, 'config.json', parseEncoderConfig),
  },
  training: {
    file: 'config.json',
    bases: [
      asJson({
        ...notebook(),
        trainer: {
          num_train_epochs: 2,
          learning_rate: 1e-3,
          stages: [{ freeze: ['bert.*'], num_train_epochs: 1 }],
        },
      }),
    ],
    read: folder => parsed(folder, 'config.json', parseTrainingConfig),
  },
  features: {
    file: 'features.json',
    bases: [asJson(SIZES)],
    read: async folder => {
      const sizes = await parsed(folder, 'features.json', parseFeatureSizes)
      return [sizes, fillSizes({ features_config: { gender: { dtype: 'categorical' } } }, sizes, 'a', 'b')]
    },
  },
  report: {
    file: 'report.json',
    bases: [asJson(sampleReport('a run', 0.5, { steps: 500 }))],
    read: folder => parsed(folder, 'report.json', parseRunReport),
  },
  tokenizer: {
    file: 'tokenizer.json',
    bases: ['bert', 'distilbert'].map(name => jsonOf(`test/golden/encoders/${name}/tokenizer.json`)),
    async read(folder) {
      const { encode } = await loadTokenizer(folder, { maxPositions: 64, vocabSize: 40_000 })
      return TEXTS.map(encode)
    },
  },
}

const HASH = 'a'.repeat(64)

/** What a checkpoint's JSON must hold before a run goes on from it. */
const SAVED: Record<string, Subject> = {
  resume: {
    file: 'resume.json',
    bases: [
      {
        format: 1,
        adapter: 'swiftshader',
        next: { stage: 0, epoch: 1, microBatch: 4 },
        optimizer_steps: 12,
        scaler: { scale: 65536, growthTracker: 3, taken: 12, skipped: 0 },
        rng: { seed: 7, step: 99 },
        losses: { since_log: [0.5, 0.25], total: 4.5 },
        data: { train: [{ file: 'a.parquet', rows: 9, bytes: 999, sha256: HASH }], evaluation: [] },
        reads: [
          ['text', 'title'],
          ['labels', 'label'],
        ],
      },
    ],
    read: folder => parsed(folder, 'resume.json', parseResumePoint),
  },
  state: {
    file: 'trainer_state.json',
    bases: [
      {
        global_step: 12,
        epoch: 1.5,
        max_steps: 20,
        best_metric: null,
        best_global_step: null,
        best_model_checkpoint: 'runs/checkpoint-10',
        log_history: [{ step: 5, epoch: 0.5, loss: 0.5, eval_roc_auc: null }],
        stage: 0,
        early_stopping_patience_counter: 0,
        kernel_choices: { matmul: 'plain' },
      },
    ],
    read: folder => parsed(folder, 'trainer_state.json', parseTrainerState),
  },
}

/** Every place of a tree: the container and the key. */
function* placesOf(value: Json): Generator<{ holder: Json[] | Record<string, Json>; key: string }> {
  if (value === null || typeof value !== 'object') return
  // A vocabulary has thousands of entries like one another.
  for (const key of Object.keys(value).slice(0, 60)) {
    yield { holder: value, key }
    yield* placesOf((value as Record<string, Json>)[key]!)
  }
}

const ODD: Json[] = [
  null,
  true,
  -1,
  0.5,
  0,
  1e308,
  2 ** 53,
  2 ** 31,
  '',
  'x',
  '9',
  [],
  [[]],
  {},
  { a: 1 },
  [null],
]
const pick = <T>(list: readonly T[], random: RandomStream): T => list[random.below(list.length)]!

type Change = (value: Json, random: RandomStream) => string | Uint8Array

function atPlace(change: (holder: Record<string, Json>, key: string, random: RandomStream) => void): Change {
  return (value, random) => {
    for (let n = 1 + random.below(2); n > 0; n--) {
      const { holder, key } = pick([...placesOf(value)], random)
      change(holder as Record<string, Json>, key, random)
    }
    return JSON.stringify(value)
  }
}

const reversed = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(reversed)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  )
}

const KEEPING: Record<string, Change> = {
  'nothing changed': value => JSON.stringify(value),
  'white space': (value, random) => `\n ${JSON.stringify(value, null, 1 + random.below(8))}\r\n`,
  escapes: value =>
    JSON.stringify(value).replace(/[a-z\u0080-\uffff]/g, (letter, at: number, whole: string) =>
      // Only within texts: a letter of true, false or null stands outside, and one behind a backslash is no letter.
      insideText(whole, at) ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter,
    ),
}

/** Whether the character at `at` stands in a text, counting quotes from a nearby place where none is escaped. */
function insideText(whole: string, at: number): boolean {
  if (whole[at - 1] === '\\') return false
  const before = /[{[,:]"[^"\\]*$/.exec(whole.slice(Math.max(0, at - 60), at))
  return before !== null
}

/** A list as long as 100,000 characters of the value, once: twice would be a list of lists of that length. */
function longList(value: Json, random: RandomStream): string {
  const { holder, key } = pick([...placesOf(value)], random)
  const inner = (holder as Record<string, Json>)[key]!
  ;(holder as Record<string, Json>)[key] = new Array(
    Math.ceil(100_000 / (JSON.stringify(inner).length + 1)),
  ).fill(inner)
  return JSON.stringify(value)
}

const DAMAGING: Record<string, Change> = {
  'an odd value': atPlace((holder, key, random) => {
    holder[key] = pick(ODD, random)
  }),
  'a key lost': atPlace((holder, key) => {
    if (Array.isArray(holder)) holder.splice(Number(key), 1)
    else delete holder[key]
  }),
  'a key renamed': atPlace((holder, key, random) => {
    const value = holder[key]!
    delete holder[key]
    holder[pick([`${key}_`, '__proto__', 'constructor', 'toString', ''], random)] = value
  }),
  'a value from elsewhere': (value, random) => {
    const places = [...placesOf(value)]
    const [to, from] = [pick(places, random), pick(places, random)]
    const copy = structuredClone((from.holder as Record<string, Json>)[from.key]!)
    ;(to.holder as Record<string, Json>)[to.key] = copy
    return JSON.stringify(value)
  },
  'a list of thousands': longList,
  'nested without end': (value, random) => {
    const text = JSON.stringify(value)
    const at = text.indexOf(':', random.below(text.length))
    const deep = 20_000
    return `${text.slice(0, at + 1)}${'['.repeat(deep)}${']'.repeat(deep)}${text.slice(at + 1).replace(/^[^,}]*/, '')}`
  },
  'cut short': (value, random) => {
    const text = JSON.stringify(value)
    return text.slice(0, random.below(text.length))
  },
  'flipped bits': (value, random) => {
    const bytes = new TextEncoder().encode(JSON.stringify(value))
    for (let n = 1 + random.below(3); n > 0; n--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
    return bytes
  },
  'another file': (_, random) =>
    pick<string | Uint8Array>(
      ['', 'null', '[]', '1', '"x"', '{}', 'PAR1', Uint8Array.of(255, 254, 0), '\ufeff{}'],
      random,
    ),
}

const KINDS = [...Object.keys(KEEPING), ...Object.keys(DAMAGING), 'other order of keys']

async function inFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-fuzz-'))
  try {
    return await run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function jsonFormat(name: string, { file, bases, read }: Subject): Format {
  const readBytes = (bytes: Uint8Array | string) =>
    inFolder(folder => {
      writeFileSync(join(folder, file), bytes)
      return read(folder)
    })
  const before = bases.map(base => readBytes(JSON.stringify(base)))
  for (const promise of before) promise.catch(() => {}) // What it throws is seen where it is awaited.
  return {
    name,
    async make(seed, number) {
      const random = randomStream(seed, number, 4)
      const kind = KINDS[number % KINDS.length]!
      const base = random.below(bases.length)
      const value = structuredClone(bases[base]!)
      const change = KEEPING[kind] ?? DAMAGING[kind]
      const text = change ? change(value, random) : JSON.stringify(reversed(value))
      const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
      return { kind, base: String(base), name: file, bytes }
    },
    async read({ kind, base, bytes }) {
      const faults: string[] = []
      try {
        const value = await readBytes(bytes)
        const equal = isDeepStrictEqual(value, await before[Number(base)])
        if (KEEPING[kind] && !equal) faults.push('reads otherwise')
        return { outcome: equal ? 'equal' : 'other', faults }
      } catch (error) {
        const message = refusal(error, faults, file)
        if (KEEPING[kind]) faults.push(`refuses what is right: ${message}`)
        return { outcome: 'refused', faults, refusals: { '': message } }
      }
    },
  }
}

/** A checkpoint's folder: any change of any file in it must be found. */
const FILES = [
  {
    name: 'model.safetensors',
    tensors: [{ name: 'w', dtype: 'U8' as const, shape: [9], chunks: [new Uint8Array(9).fill(7)] }],
  },
  { name: 'resume.json', json: { format: 1, next: { stage: 0, epoch: 1 } } },
  { name: 'trainer_state.json', json: { global_step: 4, log_history: [{ loss: 0.5 }] } },
]
const NAMES = [...FILES.map(({ name }) => name), 'checksums.json']

const checkpoint: Format = {
  name: 'checkpoint',
  make: (seed, number) =>
    inFolder(async folder => {
      const random = randomStream(seed, number, 5)
      await writeFolder(join(folder, 'checkpoint-4'), FILES)
      const name = pick(NAMES, random)
      const whole = new Uint8Array(readFileSync(join(folder, 'checkpoint-4', name)))
      const kinds = Object.keys(DAMAGING)
      const kind = name.endsWith('.json')
        ? kinds[number % kinds.length]!
        : pick(['cut short', 'flipped bits'], random)
      let bytes = whole.slice()
      if (name.endsWith('.json')) {
        const made = DAMAGING[kind]!(JSON.parse(new TextDecoder().decode(whole)) as Json, random)
        bytes = typeof made === 'string' ? new TextEncoder().encode(made) : new Uint8Array(made)
      } else if (kind === 'cut short') bytes = bytes.slice(0, random.below(bytes.length))
      else bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
      return { kind, base: Buffer.from(whole).toString('base64'), name, bytes }
    }),
  read: made =>
    inFolder(async folder => {
      const faults: string[] = []
      const at = join(folder, 'checkpoint-4')
      await writeFolder(at, FILES)
      writeFileSync(join(at, made.name), made.bytes)
      const whole = Buffer.from(made.base, 'base64')
      let same = whole.equals(made.bytes)
      try {
        // White space and order in the list of checksums are no damage.
        same ||=
          made.name === 'checksums.json' &&
          isDeepStrictEqual(JSON.parse(Buffer.from(made.bytes).toString()), JSON.parse(whole.toString()))
      } catch {
        same = false
      }
      try {
        const damage = await damageOf(at)
        if (same && damage !== undefined) faults.push(`finds damage where there is none: ${damage}`)
        if (!same && damage === undefined) faults.push(`takes a damaged ${made.name} for whole`)
        await findCheckpoint(folder, () => {})
        if (damage !== undefined) faults.push('goes on from a damaged checkpoint')
        return { outcome: 'equal', faults }
      } catch (error) {
        return { outcome: 'refused', faults, refusals: { '': refusal(error, faults, made.name) } }
      }
    }),
}

export const jsonFormats: Format[] = [
  ...Object.entries({ ...SUBJECTS, ...SAVED }).map(([name, subject]) => jsonFormat(name, subject)),
  checkpoint,
]
