// The documentation holds, and what is wrong in it is named with its place.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

function check(root = '.') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve('scripts/check-docs.mjs'), root], {
    encoding: 'utf8',
  })
  return { status, out: stdout + stderr }
}

test('links, code, configurations and commands of every page', () => {
  const { status, out } = check()
  assert.is(status, 0, out)
})

const PAGE = `# One

[a](nowhere.md) [b](#two) [c](README.md#one)

\`\`\`ts
import { tensor } from 'kernelgrad'
const wrong: number = tensor
\`\`\`

\`\`\`sh
npx kernelgrad trian
npx kernelgrad train --confg model.json
npm run nothing
\`\`\`

\`\`\`json
{ "features_config": {}, "pretrained_model_config": { "vocab_size": 9 } }
\`\`\`
`

/** A table that says less than there is, and more. */
const MODELS = `# The models

| architecture       | what it is | reads                   | two sides |
| ------------------ | ---------- | ----------------------- | --------- |
| \`TextTabularModel\` | one        | \`text\`, \`labels\`        | no        |
| \`TwinModel\`        | two        | \`query\`, \`ad\`, \`labels\` | no        |
| \`OtherModel\`       | three      | \`text\`                  | no        |
`

test('a dead link, a heading, an error of types, a command, an option, a script, a configuration and a wrong table of models are named', () => {
  const copy = mkdtempSync(join(tmpdir(), 'kernelgrad-docs-'))
  try {
    for (const name of ['dist', 'node_modules']) symlinkSync(resolve(name), join(copy, name), 'junction')
    for (const name of ['package.json', 'tsconfig.json']) copyFileSync(name, join(copy, name))
    mkdirSync(join(copy, 'src'))
    writeFileSync(join(copy, 'README.md'), PAGE)
    mkdirSync(join(copy, 'docs'))
    writeFileSync(join(copy, 'docs', 'models.md'), MODELS)
    const { status, out } = check(copy)
    assert.is(status, 1)
    for (const line of [
      'README.md:3: link nowhere.md leads nowhere',
      'README.md:3: link #two names a heading that README.md does not have',
      'README.md:10: kernelgrad has no command trian',
      'README.md:10: kernelgrad train has no option --confg',
      'README.md:10: package.json has no script nothing',
      'docs/models.md: TextTabularModel reads text, categorical, numerical, labels, the table says text, labels',
      'docs/models.md: TwinModel has two sides, the table says otherwise',
      'docs/models.md: the table has no row for LateFusionModel',
      'docs/models.md: there is no model OtherModel',
      "README.md:16: the configuration: features_config has no feature of dtype 'token_id' or 'text'",
    ])
      assert.ok(out.includes(line), `${line} is missing in\n${out}`)
    assert.match(out, /^README\.md:7: error TS2322: Type .* is not assignable to type 'number'/m)
    assert.not.match(out, 'README.md#one')
  } finally {
    rmSync(copy, { recursive: true })
  }
})

test.run()
