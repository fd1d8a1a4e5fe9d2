// A saved model that scores rows as programs have them: calls share batches, a lost device and a replaced folder are made up for.
import { files } from '#files'
import {
  COUNT,
  expectDevice,
  expectFlag,
  expectFunction,
  expectNumber,
  expectOptions,
  NATURAL,
  NON_NEGATIVE,
} from '../check.ts'
import type { Columns } from '../data/index.ts'
import { DeviceLostError, KernelgradError } from '../errors.ts'
import { type Gpu, openGpu } from '../gpu/index.ts'
import type { Model } from '../models/index.ts'
import { expectPath } from '../train/checks.ts'
import { CONFIG_FILE, loadModel, predict, WEIGHTS_FILE } from '../train/index.ts'
import { BatchQueue, type QueueCounts } from './queue.ts'
import { openRows, readRows } from './reader.ts'
import { namedScores, type RowScores } from './row-scores.ts'
import type { Field, Row, RowReader } from './rows.ts'
import { warmUpBatches } from './warm-up.ts'

/** How to score. */
export interface ScorerOptions {
  /** A device that is there already, and stays open at the end; one of its own unless given. */
  gpu?: Gpu
  /** Opens the device, and another one when it is lost; `openGpu()` unless given. With `gpu` alone a lost device ends the scorer. */
  open?: () => Promise<Gpu>
  /** Rows a batch at most; default 64. */
  batch?: number
  /** Milliseconds that a batch which is not full waits for company; default 0: what comes while one is scored makes the next in any case. */
  wait?: number
  /** Rows that may wait; default 4,096. A call beyond them fails with a QueueFullError, unless nothing waits. */
  queue?: number
  /** Cut texts with more tokens than the model has positions, where it would be an error. */
  truncate?: boolean
  /** Hears of what was made up for: a lost device, a folder that was replaced, or could not be read. */
  onEvent?: (event: ScorerEvent) => void
}

/** What happened beside the scoring. */
export type ScorerEvent =
  | { kind: 'device lost'; error: DeviceLostError }
  | { kind: 'device replaced' }
  | { kind: 'model replaced' }
  | { kind: 'model refused'; error: Error }

/** How a scorer is doing. */
export interface ScorerState extends Readonly<QueueCounts> {
  /** Devices that were lost and replaced. */
  devicesLost: number
  /** Folders that were taken over. */
  modelsReplaced: number
  /** Whether a device is there; false while another one is opened. */
  ready: boolean
}

/** A model on a device, with what reads rows for it. */
interface Loaded {
  gpu: Gpu
  model: Model
  reader: RowReader
  /** Which files it is from. */
  identity: string
  /** Pieces of calls that are to be scored by it. */
  uses: number
  retired: boolean
  /** Its device is gone. */
  lost: boolean
}

/** Devices lost one after the other, without a batch between them, before the calls are told. */
const RECOVERIES = 3
const OPTIONS = ['gpu', 'open', 'batch', 'wait', 'queue', 'truncate', 'onEvent']

/**
 * Scores rows by a saved model. Calls that run side by side share batches; each gets the scores of its rows in their order, equal to the bit to
 * those of `kernelgrad predict` whatever the batches were. A row that cannot be read fails its own call alone.
 *
 * @example
 * ```ts
 * import { Scorer } from 'kernelgrad/serve'
 *
 * const scorer = await Scorer.open('runs/clicks')
 * await scorer.warmUp()
 * const [first] = await scorer.predictRows([{ title: [4, 17], city: 3, depth: 2 }])
 * console.log(first?.probability)
 * await scorer.close()
 * ```
 */
export class Scorer {
  readonly #folder: string
  readonly #options: Required<Pick<ScorerOptions, 'batch' | 'truncate'>> &
    Pick<ScorerOptions, 'open' | 'onEvent'>
  /** A device that is somebody else's. */
  readonly #borrowed: Gpu | undefined
  readonly #queue: BatchQueue<Loaded>
  #current: Loaded
  #devicesLost = 0
  #modelsReplaced = 0
  #lostInARow = 0
  #reloading: Promise<boolean> | undefined
  /** The folder that could not be read last. */
  #refused: string | undefined
  #closing: Promise<void> | undefined

  private constructor(folder: string, options: ScorerOptions, loaded: Loaded) {
    const { gpu, open, batch = 64, wait = 0, queue = 4096, truncate = false, onEvent } = options
    this.#folder = folder
    this.#borrowed = gpu
    this.#options = { batch, truncate, ...(open && { open }), ...(onEvent && { onEvent }) }
    this.#current = loaded
    this.#queue = new BatchQueue<Loaded>({
      batch,
      queue,
      wait,
      score: (source, columns) => this.#score(source, columns),
      recover: (source, error) => this.#recover(source, error),
      read: (source, rows) => this.#read(source, rows),
      uses: (source, pieces) => {
        source.uses += pieces
        freeUnused(source)
      },
    })
  }

  /**
   * Loads the model of a folder, as `saveModel` or training leave it.
   * @throws ConfigError or CheckpointError for what is no model of single rows; ConfigError for options that cannot be
   */
  static async open(folder: string, options: ScorerOptions = {}): Promise<Scorer> {
    expectPath('Scorer: folder', folder)
    expectOptions('Scorer: options', options, OPTIONS)
    const { gpu: borrowed, open, batch, wait, queue, truncate, onEvent } = options
    if (borrowed !== undefined) expectDevice('Scorer: gpu', borrowed)
    if (open !== undefined) expectFunction('Scorer: open', open)
    if (onEvent !== undefined) expectFunction('Scorer: onEvent', onEvent)
    if (batch !== undefined) expectNumber('Scorer: batch', batch, COUNT)
    if (queue !== undefined) expectNumber('Scorer: queue', queue, NATURAL)
    if (wait !== undefined) expectNumber('Scorer: wait', wait, NON_NEGATIVE)
    if (truncate !== undefined) expectFlag('Scorer: truncate', truncate)
    const gpu = borrowed ?? (await (open ?? openGpu)())
    try {
      return new Scorer(folder, options, await load(gpu, folder))
    } catch (error) {
      if (gpu !== borrowed) gpu.close()
      throw error
    }
  }

  /** What a row is to have. */
  get fields(): readonly Field[] {
    return this.#current.reader.fields
  }

  /** A row that can be scored, to try requests with. */
  get example(): Row {
    return this.#current.reader.example
  }

  /** The device in use, in one line. */
  get adapter(): string {
    return this.#current.gpu.adapter.line
  }

  /** Counts since the start, and what waits now. */
  state(): ScorerState {
    return {
      ...this.#queue.counts,
      devicesLost: this.#devicesLost,
      modelsReplaced: this.#modelsReplaced,
      ready: !this.#current.lost,
    }
  }

  /**
   * The scores of some rows, in their order.
   * @param options.signal gives the call up, which then fails with its reason.
   * @throws RowError naming row, field, value and what was expected; ArgumentError for what are no rows; QueueFullError where too many wait; DeviceLostError
   * where devices are lost one after the other
   */
  async predictRows(rows: readonly Row[], options: { signal?: AbortSignal } = {}): Promise<RowScores[]> {
    this.#expectOpen('predictRows')
    expectOptions('predictRows: options', options, ['signal'])
    const source = this.#current
    const columns = this.#read(source, rows)
    return namedScores(source.model, await this.#queue.add(source, rows, columns, options.signal))
  }

  /**
   * Scores made-up rows, so that what compiles does so before the first request.
   * @returns how many kernels there are now
   */
  async warmUp(): Promise<number> {
    this.#expectOpen('warmUp')
    return warm(this.#current, this.#options.batch)
  }

  /**
   * Takes the folder's model over if it was replaced, as by `saveModel` or a rename: it is loaded and warmed up beside the one in use, which
   * ends with the calls that it has. A folder that cannot be read, or is being written, leaves things as they are and is told to `onEvent`.
   * @returns whether there is another model now
   */
  async reload(): Promise<boolean> {
    this.#expectOpen('reload')
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = undefined
    })
    return this.#reloading
  }

  /** Ends once the calls that it has are answered; further ones are errors. A second time does nothing. */
  async close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#reloading?.catch(() => {}) // told to its caller
    await this.#queue.idle()
    const { gpu, model } = this.#current
    if (gpu === this.#borrowed) model.free()
    else gpu.close()
  }

  #expectOpen(call: string): void {
    if (this.#closing) throw new KernelgradError(`Scorer.${call}: the scorer is closed`)
  }

  #read({ reader, model }: Loaded, rows: readonly Row[]): Columns {
    return readRows('predictRows', reader, model, rows, this.#options.truncate)
  }

  async #score({ model }: Loaded, columns: Columns): Promise<Float32Array<ArrayBuffer>> {
    const { truncate } = this.#options
    const scores = await predict(model, columns, { batchSize: columns.length, truncate })
    this.#lostInARow = 0
    return scores
  }

  /** What scores the rows of a batch that failed: the model on another device, where its own was lost. */
  async #recover(source: Loaded, error: unknown): Promise<Loaded | undefined> {
    // Another batch may have found out before.
    if (source !== this.#current && source.lost) return this.#current
    if (error instanceof DeviceLostError) {
      if (++this.#lostInARow > RECOVERIES) throw error
      if (!source.lost) this.#tell({ kind: 'device lost', error })
      source.lost = true
      if (source !== this.#current && source.gpu === this.#current.gpu) this.#current.lost = true
    } else if (!source.lost) return undefined
    const { open } = this.#options
    if (this.#borrowed && !open) throw error
    if (source.gpu !== this.#borrowed) source.gpu.close()
    const gpu = await (open ?? openGpu)()
    try {
      this.#current = await load(gpu, this.#folder)
    } catch (failure) {
      gpu.close()
      throw failure
    }
    this.#devicesLost++
    this.#tell({ kind: 'device replaced' })
    return this.#current
  }

  async #reload(): Promise<boolean> {
    const before = this.#current
    try {
      const identity = await identityOf(this.#folder)
      // While one folder makes way for another there is none; and what was refused stays refused.
      if (identity === undefined || identity === before.identity || identity === this.#refused) return false
      this.#refused = identity
      const loaded = await load(before.gpu, this.#folder)
      await warm(loaded, this.#options.batch)
      if (this.#current !== before) {
        // A lost device was replaced meanwhile, with this folder's model on it.
        retire(loaded)
        return false
      }
      this.#current = loaded
    } catch (error) {
      this.#tell({ kind: 'model refused', error: error as Error })
      return false
    }
    retire(before)
    this.#modelsReplaced++
    this.#tell({ kind: 'model replaced' })
    return true
  }

  #tell(event: ScorerEvent): void {
    this.#options.onEvent?.(event)
  }
}

/** Which files a folder's model is made of; undefined where there are none at the moment. */
async function identityOf(folder: string): Promise<string | undefined> {
  const parts = await Promise.all(
    [folder, files.join(folder, CONFIG_FILE), files.join(folder, WEIGHTS_FILE)].map(files.identity),
  )
  return parts.includes(undefined) ? undefined : parts.join(' ')
}

/** Times that a folder is read again because it was replaced meanwhile. */
const READS = 5

/** The model of a folder, all of whose files are of one moment. */
async function load(gpu: Gpu, folder: string): Promise<Loaded> {
  for (let reads = 1; ; reads++) {
    const identity = await identityOf(folder)
    const stands = async () => reads >= READS || (await identityOf(folder)) === identity
    let model: Model
    try {
      model = await loadModel(gpu, folder)
    } catch (error) {
      if (error instanceof DeviceLostError || (await stands())) throw error
      continue
    }
    try {
      const reader = await openRows(model, folder)
      if (await stands())
        return { gpu, model, reader, identity: identity ?? '', uses: 0, retired: false, lost: false }
    } catch (error) {
      model.free()
      throw error
    }
    model.free()
  }
}

function retire(loaded: Loaded): void {
  loaded.retired = true
  freeUnused(loaded)
}

function freeUnused({ retired, uses, lost, model }: Loaded): void {
  if (retired && !uses && !lost && model.placed) model.free()
}

async function warm({ gpu, model }: Loaded, batch: number): Promise<number> {
  for (const columns of warmUpBatches(model, batch))
    await predict(model, columns, { batchSize: columns.length, truncate: true })
  return gpu.caches.kernels
}
