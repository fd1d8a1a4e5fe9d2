// The parts of the acceptance run, in order: what needs little time and tells most comes first.
import { adapter, compile, peaks } from './device.ts'
import { catchUp, launches } from './launches.ts'
import type { Part } from './part.ts'
import { losses, steps, tuned } from './steps.ts'
import { claims, tests } from './tests.ts'

export const PARTS: Part[] = [
  { name: 'adapter', what: 'adapter, limits, machine', seconds: 3, run: adapter },
  { name: 'losses', what: '200 steps beside frozen losses', seconds: 20, run: losses },
  { name: 'peaks', what: 'most that the adapter does', seconds: 15, run: peaks },
  { name: 'compile', what: 'compile time of each pipeline', seconds: 40, run: compile },
  { name: 'launches', what: 'every launch by the device’s clock', seconds: 60, run: launches },
  { name: 'steps', what: 'training steps, recording apart', seconds: 60, run: steps },
  { name: 'catch-up', what: 'rows that catch up', seconds: 15, run: catchUp },
  { name: 'claims', what: 'what holds to the bit', seconds: 120, run: claims },
  { name: 'tests', what: 'kernels against their oracles', seconds: 180, run: tests },
  { name: 'tuned', what: 'forms that are fastest here', seconds: 60, run: tuned },
]
