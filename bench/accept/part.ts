// What a part of the acceptance run is: it runs in a process of its own, tells how far it is, and reports what it has as often as it likes.
/** What a part is given. */
export interface Context {
  /** The smallest sizes: shows that everything runs. */
  quick: boolean
  /** Replaces what the part has reported before. */
  report(result: object): void
  /** A line for whoever waits. */
  say(line: string): void
}

/** A part. */
export interface Part {
  name: string
  /** What is found out, for the page. */
  what: string
  /** Seconds that it takes on a card, about; it is ended after three times as many. */
  seconds: number
  run(context: Context): Promise<void>
}

/** How a part ended. */
export interface Ended {
  status: 'done' | 'failed' | 'out of time' | 'interrupted' | 'not begun'
  seconds: number
  /** Why it failed. */
  error?: string
  /** What it reported last. */
  result?: unknown
}
