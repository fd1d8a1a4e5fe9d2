import type { CommandSpec } from '../../src/cli/command.ts'
import { ADAPTER } from '../../src/cli/options.ts'

/** `npm run parity -- FOLDER` */
export const PARITY: CommandSpec = {
  name: 'parity',
  description: 'check every case folder of frozen PyTorch values against the adapter in use',
  arguments: [{ name: 'folder', description: 'a folder of case folders, or one of them' }],
  options: [
    ADAPTER,
    { flags: '--fp16', description: 'train planted cases in mixed precision too' },
    { flags: '--json', description: 'print JSON' },
  ],
  example: 'npm run parity -- test/golden',
  load: () => import('./run.ts'),
}
