// What the page and its worker say to each other.
import type { AskedColumn, Role } from 'kernelgrad/prepare'
import type { LogEntry } from 'kernelgrad/train'

/** What a column of a file of tokens is to the model. */
export type Use = 'token_id' | 'categorical' | 'numerical' | 'label' | 'ignore'

interface ColumnChoice {
  name: string
  use: Use
}

/** A column of a file of tokens and what it may be. */
export interface ColumnProposal extends ColumnChoice {
  allowed: Use[]
  /** A few of its values. */
  shown: string
}

/** How to read a file of tokens. Without a kind it is one that an older version of the page stored. */
export interface TokenChoices {
  kind?: 'tokens'
  columns: ColumnChoice[]
  /** The token id that stands for no word. */
  padTokenId: number
}

/** How to read a table: what the reader said, the rest is found out. */
export interface TableChoices {
  kind: 'table'
  label: string
  asked: Record<string, AskedColumn>
  /** Texts that stand for no value. */
  missing: string[]
}

export type Choices = TokenChoices | TableChoices

/** A file that holds lists of token ids: what its columns may be. */
export interface TokenProposal {
  kind: 'tokens'
  name: string
  rows: number
  columns: ColumnProposal[]
  padTokenId: number
  /** Whether these are the sample's columns, which need no questions. */
  known: boolean
}

/** A table of values as people have them. */
export interface TableProposal {
  kind: 'table'
  name: string
  rows: number
  columns: { name: string; shown: string; nested: boolean }[]
  /** The column that is likely to be predicted. */
  label: string | undefined
}

export type Proposal = TokenProposal | TableProposal

/** A column of a table and what becomes of it. */
export interface RoleRow {
  name: string
  role: Role
  says: string
  distinct: number
  missing: number
  asked: AskedColumn
  /** Why it has no role yet, in words for the reader. */
  problem?: string
}

/** A row as it is typed: ids of each token list and one number for everything else, or of a table texts as they stand there. */
export type TypedRow = Record<string, number[]> | Record<string, string>

/** A field of the form that scores a row. */
export interface Field {
  name: string
  use: 'token_id' | 'categorical' | 'numerical' | 'raw'
  /** Ids are below it. */
  limit?: number
  /** Of a raw value: what is expected, values that are known, and whether it is a long text. */
  hint?: string
  known?: string[]
  long?: boolean
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
  | { type: 'roles'; choices: TableChoices }
  | { type: 'start'; choices: Choices; steps: number }
  | { type: 'resume' }
  | { type: 'forget' }
  | { type: 'pause' }
  | { type: 'continue' }
  | { type: 'stop' }
  | { type: 'score'; row: TypedRow }
  | { type: 'predict'; source: File | 'held out' }
  | { type: 'files' }
  | { type: 'lose' }

/** What is there before the first step: what runs where, and what is asked and answered. */
export interface Ready {
  name: string
  adapter: string
  parameters: number
  fields: Field[]
  examples: Example[]
  /** What is predicted, and its values in order; of a file of tokens a click. */
  label: string | undefined
  classes: readonly string[]
  /** Rows that are trained on, that are held out, and those of them that are evaluated. */
  rows: { train: number; heldOut: number; evaluated: number }
}

export type ToPage =
  | { type: 'stored'; run: StoredRun | undefined }
  | { type: 'forgotten' }
  | { type: 'opened'; proposal: Proposal }
  /** Nothing where the label itself is wrong: then `problem` says how. */
  | { type: 'roles'; label: string; columns: RoleRow[] | undefined; steps: number; problem?: string }
  | { type: 'state'; state: RunState; step: number; steps: number }
  | ({ type: 'ready' } & Ready)
  /** The whole log so far, in place of what was there. */
  | { type: 'history'; entries: LogEntry[]; steps: number }
  | { type: 'log'; entry: LogEntry }
  | { type: 'progress'; step: number; steps: number; rows: number; totalRows: number }
  | { type: 'lost'; message: string; step: number }
  /** `notes` are about values that the model has never seen. */
  | { type: 'scored'; scores: Record<string, number>; notes: string[] }
  | { type: 'predicted'; name: string; rows: number; csv: Blob }
  | { type: 'files'; files: { name: string; content: Blob }[] }
  /** `during` says what failed, in the words of the request; `column` is the one that a value of is wrong. */
  | {
      type: 'error'
      during: ToWorker['type']
      message: string
      noDevice: boolean
      column: string | undefined
    }
