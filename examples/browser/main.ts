// The page: shows what the worker says, and tells it what the reader wants.
import { type Charts, createCharts } from './charts.ts'
import { readChoices, showColumns } from './columns-form.ts'
import { byId, count } from './dom.ts'
import { showNext } from './next.ts'
import { showNoWebGpu } from './notice.ts'
import { restartClock, showFigures, showProgress, showStep } from './progress.ts'
import type { Choices, Proposal, Ready, RunState, ToPage, ToWorker } from './protocol.ts'
import { showFiles, showPredictions, showReady, showScores } from './results.ts'
import { firstWrong, foldRoles, readTable, showRoles, showTable, waitForRoles } from './roles-form.ts'
import { readRow, showFieldFault, showFields } from './score-form.ts'

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
const send = (message: ToWorker) => worker.postMessage(message)
const button = (id: string) => byId<HTMLButtonElement>(id)
const steps = byId<HTMLInputElement>('steps')
let charts: Charts
let state: RunState | undefined
/** Whether the reader has just asked for training. */
let begun = false
/** The file that is open, and whether all is known that training needs. */
let proposal: Proposal | undefined
let complete = false
let ready: Ready | undefined

/** Read aloud as it changes. */
function say(text: string, fault = false): void {
  byId('status').textContent = text
  byId('status').classList.toggle('fault', fault)
}

const isBusy = () => ['starting', 'running', 'pausing', 'paused'].includes(state ?? '')

function showState(next: RunState | undefined, step = 0, of = 0): void {
  state = next
  const busy = isBusy()
  byId('training').hidden = next === undefined
  button('start').disabled = busy || !complete
  button('pause').disabled = !busy || next === 'starting'
  button('pause').textContent = pausing() ? 'Go on' : 'Pause'
  button('stop').disabled = !(next === 'running' || next === 'paused')
  button('lose').disabled = !(busy || next === 'done')
  for (const id of ['sample', 'choose-file', 'resume', 'discard']) button(id).disabled = busy
  byId('results').hidden = !['running', 'pausing', 'paused', 'done'].includes(next ?? '')
  if (next) showStep(step, of)
  if (next === 'running' || next === 'paused') restartClock()
  // What was pressed is gone or has nothing more to do: the keyboard goes on with the next button.
  if (next === 'running' && begun) button('pause').focus()
  if (next === 'running') begun = false
  if (next === 'running') foldRoles()
  if (next === 'done' && [button('pause'), document.body].includes(document.activeElement as HTMLElement))
    button('score').focus({ preventScroll: true })
  showNext(nextAction())
}

/** The one thing to press now. */
function nextAction(): string {
  if (isBusy()) return 'pause'
  if (proposal && state !== 'done')
    return proposal.kind === 'tokens' ? 'start' : readTable() ? (firstWrong() ?? 'start') : 'label'
  if (state === 'done') return 'score'
  return byId('stored').hidden ? 'choose-file' : 'resume'
}

const pausing = () => state === 'paused' || state === 'pausing'

const STATES: Record<RunState, (step: number, of: number) => string> = {
  starting: () => 'Preparing the model on the graphics device …',
  running: step => (step ? `Training goes on from step ${step}.` : 'Training.'),
  pausing: () => 'Pausing after the step under way …',
  paused: step => `Paused at step ${step}. The run is saved: you may close this page and go on later.`,
  done: (step, of) => (step < of ? `Stopped at step ${step} of ${of}.` : `Done: ${of} steps.`),
  failed: step => `The run ended at step ${step}.`,
}

const received: { [T in ToPage['type']]: (message: Extract<ToPage, { type: T }>) => void } = {
  stored({ run }) {
    byId('stored').hidden = !run
    if (!run) return
    const { name, step, steps } = run
    byId('stored-text').textContent =
      step < steps
        ? `A run on ${name} is saved here at step ${step} of ${steps}.`
        : `A model trained on ${name} (${steps} steps) is saved here.`
    button('resume').textContent = step < steps ? 'Resume it' : 'Open it'
    showNext(nextAction())
  },
  forgotten() {
    byId('stored').hidden = true
    say('The saved run is gone.')
    showNext(nextAction())
    button('choose-file').focus()
  },
  opened({ proposal: next }) {
    proposal = next
    const { name, rows, columns } = next
    const table = next.kind === 'table'
    byId('file').textContent = `${name}: ${count(rows)} rows, ${columns.length} columns.`
    byId('table-form').hidden = !table
    byId('choose').hidden = table
    // What is not shown is not asked for.
    byId<HTMLInputElement>('pad').disabled = table
    byId('chosen').hidden = false
    byId('drop-text').hidden = true
    complete = !table
    if (state === 'done' || state === 'failed') state = undefined
    say(`${name} is open: ${count(rows)} rows.`)
    if (next.kind === 'tokens') {
      showColumns(next)
      steps.value = String(Math.max(1, Math.round((2 * 0.8 * rows) / 128)))
      button('start').disabled = false
      button('start').focus()
    } else {
      showTable(next, askForRoles)
      button('start').disabled = true
      byId('label').focus()
      if (next.label === undefined)
        say(`${name} is open: ${count(rows)} rows. Which column is to be predicted?`)
      else askForRoles()
    }
    showNext(nextAction())
  },
  roles(message) {
    if (proposal?.kind !== 'table') return
    const { columns, problem } = message
    complete = showRoles(message)
    button('start').disabled = isBusy() || !complete
    if (message.steps) steps.value = String(message.steps)
    const wrong = columns?.filter(column => column.problem) ?? []
    // What the reader was about to do goes on, where nothing else was begun meanwhile.
    const idle = [byId('label'), document.body].includes(document.activeElement as HTMLElement)
    if (problem) say(problem, true)
    else if (wrong.length) {
      const names = wrong.map(({ name }) => `'${name}'`).join(', ')
      say(
        wrong.length > 1
          ? `Columns ${names} need a role of your choice.`
          : `Column ${names} needs a role of your choice.`,
        true,
      )
      if (idle) document.getElementById(firstWrong()!)?.focus()
    } else if (complete) {
      say(`${proposal.name}: every column has a role. Change what is wrong, then start.`)
      if (idle) button('start').focus()
    }
    showNext(nextAction())
  },
  state({ state, step, steps }) {
    showState(state, step, steps)
    if (state !== 'failed') say(STATES[state](step, steps))
  },
  ready(message) {
    ready = message
    byId('stored').hidden = true
    showReady(message)
    showFields(message.fields, message.examples)
  },
  history: ({ entries, steps }) => {
    for (const id of ['loss', 'eval-loss', 'auc', 'pr-auc']) byId(id).textContent = '–'
    for (const entry of entries) showFigures(entry)
    charts.show(entries, steps)
  },
  log({ entry }) {
    showFigures(entry)
    charts.add(entry)
  },
  progress: message => showProgress(message),
  lost: ({ message, step }) =>
    say(
      `The graphics device was lost (${message}). ${step ? `Going on from the checkpoint of step ${step}` : 'Starting again'} on a new device.`,
      true,
    ),
  scored: message => showScores(message, ready!),
  predicted(message) {
    showPredictions(message)
    say(`${count(message.rows)} rows are predicted.`)
  },
  files({ files }) {
    showFiles(files)
    say(files.length > 1 ? 'Both files are ready.' : 'The model is ready.')
    byId('links').querySelector('a')!.focus()
  },
  error({ during, message, noDevice, column }) {
    // What follows the first sentence is for Node.
    if (noDevice) showNoWebGpu(message.split('. ')[0])
    const fault = during === 'score' ? message.replace(/^row 0, column '.*?': /s, '') : message
    const atField = during === 'score' && showFieldFault(column, fault)
    say(atField ? `${column}: ${fault}` : message, true)
    if (during === 'roles') complete = false
    button('start').disabled = isBusy() || !complete
    showNext(nextAction())
  },
}

worker.onmessage = ({ data }: MessageEvent<ToPage>) => {
  ;(received[data.type] as (message: ToPage) => void)(data)
}
worker.onerror = ({ message }) => say(`The worker failed: ${message || 'its script did not load'}`, true)

function askForRoles(): void {
  const choices = readTable()
  complete = false
  button('start').disabled = true
  showNext(nextAction())
  if (!choices) return
  say('Looking at the columns …')
  waitForRoles()
  send({ type: 'roles', choices })
}

const open = (source: File | 'sample') => {
  say(source === 'sample' ? 'Making the sample …' : `Reading ${source.name} …`)
  send({ type: 'open', source })
}

function wire(): void {
  const input = byId<HTMLInputElement>('file-input')
  button('sample').addEventListener('click', () => open('sample'))
  button('choose-file').addEventListener('click', () => input.click())
  const picked = (from: HTMLInputElement, take: (file: File) => void) =>
    from.addEventListener('change', () => {
      if (from.files?.[0]) take(from.files[0])
      from.value = '' // The same file may be chosen again.
    })
  picked(input, open)
  const rows = byId<HTMLInputElement>('predict-input')
  button('predict-file').addEventListener('click', () => rows.click())
  picked(rows, source => predictRows(source, `Predicting ${source.name} …`))
  button('predict').addEventListener('click', () => predictRows('held out', 'Predicting the held-out rows …'))
  const drop = byId('drop')
  for (const type of ['dragenter', 'dragover', 'dragleave', 'drop'])
    document.addEventListener(type, event => {
      event.preventDefault()
      drop.classList.toggle('over', type === 'dragenter' || type === 'dragover')
    })
  document.addEventListener('drop', event => {
    const file = event.dataTransfer?.files[0]
    if (file && !button('sample').disabled) open(file)
  })
  byId('run-form').addEventListener('submit', event => {
    event.preventDefault()
    const choices: Choices | undefined = proposal?.kind === 'table' ? readTable() : readChoices()
    if (choices && complete) begin({ type: 'start', choices, steps: steps.valueAsNumber })
  })
  button('resume').addEventListener('click', () => begin({ type: 'resume' }))
  button('discard').addEventListener('click', () => send({ type: 'forget' }))
  button('pause').addEventListener('click', () => send({ type: pausing() ? 'continue' : 'pause' }))
  button('stop').addEventListener('click', () => send({ type: 'stop' }))
  button('lose').addEventListener('click', () => send({ type: 'lose' }))
  button('lose').hidden = !new URLSearchParams(location.search).has('debug')
  byId('score-form').addEventListener('submit', event => {
    event.preventDefault()
    const row = readRow()
    if (row) send({ type: 'score', row })
  })
  button('files').addEventListener('click', () => send({ type: 'files' }))
}

function predictRows(source: File | 'held out', says: string): void {
  say(says)
  send({ type: 'predict', source })
}

function begin(message: ToWorker): void {
  begun = true
  button('start').disabled = true
  say('Reading the rows …')
  send(message)
}

if (navigator.gpu) {
  wire()
  charts = createCharts()
  showState(undefined)
  send({ type: 'look' })
} else showNoWebGpu()
