// A small run in one piece and in several, each of which goes on from the checkpoint that the last one left.
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { TrainerConfig } from '../../src/config/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { TrainerState } from '../../src/train/index.ts'
import { bitsOf, folder, makeRun } from './small-run.ts'

export interface Ended {
  bits: Record<string, string>
  state: TrainerState
  output: string
  warnings: string[]
  interrupted: boolean
  /** Its class's name. */
  optimizer: string
}

let runs = 0

/** The ways to run on a device. */
export function parts(gpu: Gpu) {
  /** One process's part of a run; with `stopAt`, interrupted while the model computes that micro-batch of it. */
  async function part(
    settings: TrainerConfig,
    output: string,
    { stopAt, resumeFrom = false }: { stopAt?: number; resumeFrom?: boolean | string } = {},
  ): Promise<Ended> {
    const warnings: string[] = []
    const { trainer, model } = await makeRun(gpu, settings, {
      output,
      onWarning: text => warnings.push(text),
    })
    let seen = 0
    const loss = model.loss.bind(model)
    model.loss = batch => {
      if (model.training && ++seen === stopAt) trainer.interrupt()
      return loss(batch)
    }
    try {
      const state = await trainer.train({ resumeFromCheckpoint: resumeFrom })
      const { interrupted, optimizer } = trainer
      return {
        bits: await bitsOf(model),
        state,
        output,
        warnings,
        interrupted,
        optimizer: optimizer.constructor.name,
      }
    } finally {
      model.free()
    }
  }

  const newOutput = () => join(folder, `run-${runs++}`)
  const whole = (settings: TrainerConfig) => part(settings, newOutput())

  /** A run in as many parts as there are stops, and one more. */
  async function inParts(settings: TrainerConfig, stops: number[]): Promise<Ended> {
    const output = newOutput()
    for (const [i, stopAt] of stops.entries()) {
      const ended = await part(settings, output, { stopAt, resumeFrom: i > 0 })
      assert.ok(ended.interrupted)
    }
    const ended = await part(settings, output, { resumeFrom: true })
    assert.not(ended.interrupted)
    assert.equal(ended.warnings, [])
    return ended
  }

  return { newOutput, part, whole, inParts }
}

export function assertSameEnd(resumed: Ended, straight: Ended): void {
  assert.equal(resumed.bits, straight.bits)
  const told = ({ state }: Ended) => ({ ...state, best_model_checkpoint: null })
  assert.equal(told(resumed), told(straight))
}
