// Writes test/golden/losses/tiny.json: what 200 training steps of the benchmark's TINY model lose in PyTorch, in float64.
// usage: npm run -s build && node tools/freeze-losses.mjs PYTHON
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { frozenWork } from '../dist/bench/accept/steps.js'

const STEPS = 200
const python = spawn(process.argv[2] ?? 'python3', ['bench/peers/torch_peer.py'], {
  stdio: ['pipe', 'pipe', 'inherit'],
})
const answers = createInterface({ input: python.stdout })[Symbol.asyncIterator]()
async function ask(request) {
  python.stdin.write(`${JSON.stringify(request)}\n`)
  const { error, ...answer } = JSON.parse((await answers.next()).value)
  if (error) throw new Error(error)
  return answer
}
const { version } = await ask({ do: 'open', threads: 1, float64: true })
await ask({ do: 'train', work: frozenWork(STEPS).work })
const { losses } = await ask({ do: 'run', count: STEPS })
python.stdin.end()
const made = version.replace(/,.*/, ', float64')
mkdirSync('test/golden/losses', { recursive: true })
writeFileSync(
  'test/golden/losses/tiny.json',
  `${JSON.stringify({ model: 'TINY', made, losses: losses.map(loss => Number(loss.toPrecision(9))) })}\n`,
)
