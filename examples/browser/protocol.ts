// What the page and its worker say to each other.
import type { LogEntry } from 'kernelgrad/train'

/** What a column is to the model. */
export type Use = 'token_id' | 'categorical' | 'numerical' | 'label' | 'ignore'

interface ColumnChoice {
  name: string
  use: Use
}

/** A column of a file and what it may be. */
export interface ColumnProposal extends ColumnChoice {
  allowed: Use[]
  /** A few of its values. */
  shown: string
}

/** How to read a file. */
export interface Choices {
  columns: ColumnChoice[]
  /** The token id that stands for no word. */
  padTokenId: number
}

export interface Proposal {
  name: string
  rows: number
  columns: ColumnProposal[]
  padTokenId: number
  /** Whether these are the sample's columns, which need no questions. */
  known: boolean
}

/** A row as it is typed: ids of each token list, one number for everything else. */
export type TypedRow = Record<string, number[]>

/** A field of the form that scores a row. */
export interface Field {
  name: string
  use: 'token_id' | 'categorical' | 'numerical'
  /** Ids are below it. */
  limit?: number
}

export interface Example {
  title: string
  row: TypedRow
}

export interface StoredRun {
  name: string
  step: number
  steps: number
}

export type RunState = 'starting' | 'running' | 'pausing' | 'paused' | 'done' | 'failed'

export type ToWorker =
  | { type: 'look' }
  | { type: 'open'; source: File | 'sample' }
  | { type: 'start'; choices: Choices; steps: number }
  | { type: 'resume' }
  | { type: 'forget' }
  | { type: 'pause' }
  | { type: 'continue' }
  | { type: 'stop' }
  | { type: 'score'; row: TypedRow }
  | { type: 'files' }
  | { type: 'lose' }

export type ToPage =
  | { type: 'stored'; run: StoredRun | undefined }
  | { type: 'forgotten' }
  | { type: 'opened'; proposal: Proposal }
  | { type: 'state'; state: RunState; step: number; steps: number }
  /** Before the first step: what runs where, and what the form for a row asks for. */
  | { type: 'ready'; name: string; adapter: string; parameters: number; fields: Field[]; examples: Example[] }
  /** The whole log so far, in place of what was there. */
  | { type: 'history'; entries: LogEntry[]; steps: number }
  | { type: 'log'; entry: LogEntry }
  | { type: 'progress'; step: number; steps: number; rows: number; totalRows: number }
  | { type: 'lost'; message: string; step: number }
  | { type: 'scored'; scores: Record<string, number> }
  | { type: 'files'; weights: ArrayBuffer; config: string }
  /** `during` says what failed, in the words of the request. */
  | { type: 'error'; during: ToWorker['type']; message: string; noDevice: boolean }
