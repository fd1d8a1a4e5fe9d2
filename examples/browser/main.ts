// The page: shows what the worker says, and tells it what the reader wants.
import { type Charts, createCharts } from './charts.ts'
import { readChoices, showColumns } from './columns-form.ts'
import { byId, count, make } from './dom.ts'
import { showNoWebGpu } from './notice.ts'
import { restartClock, showFigures, showProgress, showStep } from './progress.ts'
import type { RunState, ToPage, ToWorker } from './protocol.ts'
import { readRow, showFields } from './score-form.ts'

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
const send = (message: ToWorker) => worker.postMessage(message)
const button = (id: string) => byId<HTMLButtonElement>(id)
const steps = byId<HTMLInputElement>('steps')
let charts: Charts
let state: RunState | undefined
/** Whether the reader has just asked for training. */
let begun = false

/** Read aloud as it changes. */
function say(text: string, fault = false): void {
  byId('status').textContent = text
  byId('status').classList.toggle('fault', fault)
}

function showState(next: RunState | undefined, step = 0, of = 0): void {
  state = next
  const busy = next === 'starting' || next === 'running' || next === 'pausing' || next === 'paused'
  byId('training').hidden = next === undefined
  button('start').disabled = busy
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
  },
  forgotten() {
    byId('stored').hidden = true
    say('The saved run is gone.')
    button('sample').focus()
  },
  opened({ proposal }) {
    showColumns(proposal)
    steps.value = String(Math.max(1, Math.round((2 * 0.8 * proposal.rows) / 128)))
    byId('chosen').hidden = false
    say(`${proposal.name} is open: ${count(proposal.rows)} rows.`)
    button('start').focus()
  },
  state({ state, step, steps }) {
    showState(state, step, steps)
    if (state !== 'failed') say(STATES[state](step, steps))
  },
  ready({ name, adapter, parameters, fields, examples }) {
    byId('facts').textContent = `${name}, ${count(parameters)} parameters, on ${adapter}`
    byId('stored').hidden = true
    byId('scored').textContent = ''
    byId('links').replaceChildren()
    showFields(fields, examples)
  },
  history: ({ entries, steps }) => {
    for (const id of ['loss', 'eval-loss', 'auc']) byId(id).textContent = '–'
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
  scored({ scores }) {
    const told = Object.entries(scores).map(([name, score]) =>
      name === 'probability'
        ? `Click probability ${(100 * score).toFixed(2)} %`
        : `${name} ${score.toFixed(4)}`,
    )
    byId('scored').textContent = told.join(', ')
    byId('scored').dataset.scores = JSON.stringify(scores)
  },
  files({ weights, config }) {
    const link = (name: string, content: BlobPart) =>
      make('a', { download: name, href: URL.createObjectURL(new Blob([content])), textContent: name })
    byId('links').replaceChildren(link('model.safetensors', weights), ' ', link('config.json', config))
    say('Both files are ready.')
    byId('links').querySelector('a')!.focus()
  },
  error({ during, message, noDevice }) {
    // What follows the first sentence is for Node.
    if (noDevice) showNoWebGpu(message.split('. ')[0])
    say(message, true)
    if (during === 'start' || during === 'resume') button('start').disabled = false
  },
}

worker.onmessage = ({ data }: MessageEvent<ToPage>) => {
  ;(received[data.type] as (message: ToPage) => void)(data)
}
worker.onerror = ({ message }) => say(`The worker failed: ${message || 'its script did not load'}`, true)

const open = (source: File | 'sample') => {
  say(source === 'sample' ? 'Making the sample …' : `Reading ${source.name} …`)
  send({ type: 'open', source })
}

function wire(): void {
  const input = byId<HTMLInputElement>('file-input')
  button('sample').addEventListener('click', () => open('sample'))
  button('choose-file').addEventListener('click', () => input.click())
  input.addEventListener('change', () => {
    if (input.files?.[0]) open(input.files[0])
    input.value = '' // The same file may be chosen again.
  })
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
    begin({ type: 'start', choices: readChoices(), steps: steps.valueAsNumber })
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
