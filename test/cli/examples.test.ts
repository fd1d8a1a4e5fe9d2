// Every command's --help ends in an example, which that command takes.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BodySpec, CommandSpec } from '../../src/cli/command.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { runCli } from '../../src/cli/run.ts'

/** The commands with bodies that only say which ran, and with what. */
function recording(ran: { name: string; options: object }[]): CommandSpec[] {
  const body = (spec: BodySpec, name: string): BodySpec => ({
    ...spec,
    load: async () => ({
      run: async options => {
        ran.push({ name, options })
      },
    }),
  })
  return COMMANDS.map(spec =>
    'commands' in spec
      ? { ...spec, commands: spec.commands.map(one => body(one, `${spec.name} ${one.name}`)) }
      : body(spec, spec.name),
  )
}

const named = COMMANDS.flatMap((spec): [string, BodySpec][] =>
  'commands' in spec ? spec.commands.map(one => [`${spec.name} ${one.name}`, one]) : [[spec.name, spec]],
)
const run = (words: string[], commands: readonly CommandSpec[], told: string[] = []) =>
  runCli(words, {
    commands,
    version: '0',
    env: {},
    out: text => told.push(text),
    err: text => told.push(text),
  })

for (const [name, { example, options }] of named)
  test(`${name} --help: an example that it takes`, async () => {
    const told: string[] = []
    assert.is(await run([...name.split(' '), '--help'], COMMANDS, told), 0)
    const lines = example.split('\n')
    assert.ok(told.join('').includes(`\nExample:\n${lines.map(line => `  ${line}`).join('\n')}`))
    const ran: { name: string; options: object }[] = []
    for (const line of lines) {
      const [program, ...words] = line.split(' ')
      assert.is(program, 'kernelgrad', line)
      // Names of options, those that are required, their choices and what they parse.
      assert.is(await run(words, recording(ran), told), 0, `${line}: ${told.join('')}`)
    }
    assert.is(ran.length, lines.length)
    assert.ok(
      ran.some(one => one.name === name),
      'none of the lines runs the command',
    )
    assert.ok(options.every(({ description }) => description))
  })

test('a line that a command would not take is none', async () => {
  for (const words of [
    ['export', '--model', 'runs/x'],
    ['export', '--model', 'runs/x', '--onnx', 'x', '--opset', '17'],
    ['embed', '--model', 'a', '--side', 'left', '--data', 'x', '--out', 'y'],
    ['exprot'],
  ])
    assert.is(await run(words, recording([])), 2, words.join(' '))
})

test.run()
