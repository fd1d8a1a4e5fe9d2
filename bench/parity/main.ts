import { runCli } from '../../src/cli/run.ts'
import { VERSION } from '../../src/wgsl/version.ts'
import { PARITY } from './command.ts'

process.exitCode = await runCli(['parity', ...process.argv.slice(2)], {
  commands: [PARITY],
  version: VERSION,
})
