import type { CommandSpec, OptionSpec } from './command.ts'

const ADAPTER: OptionSpec = {
  flags: '--adapter <kind>',
  description: 'which adapter to use (default: KERNELGRAD_ADAPTER, or auto)',
  choices: ['auto', 'hardware', 'system', 'embedded'],
}

/** The subcommands, in the order that --help lists them. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'info',
    description: 'show the WebGPU adapter in use, its features and limits',
    options: [ADAPTER, { flags: '--json', description: 'print JSON' }],
    load: () => import('./commands/info.ts'),
  },
  {
    name: 'parity',
    description: 'check every case folder of frozen PyTorch values against the adapter in use',
    arguments: [{ name: 'folder', description: 'a folder of case folders, or one of them' }],
    options: [ADAPTER, { flags: '--json', description: 'print JSON' }],
    load: () => import('./commands/parity.ts'),
  },
]
