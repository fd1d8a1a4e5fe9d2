// Writes made/operator-index.md: every operator of src/autograd/ops with its first sentence, the shapes that its comment names, and the files of its
// kernels and their oracles. What calls what is read off the compiler, so the page says what the code does.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const docs = dirname(fileURLToPath(import.meta.url))
const root = resolve(docs, '..')
const entry = join(root, 'src/autograd/ops/index.ts')
const program = ts.createProgram([entry], {
  allowImportingTsExtensions: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  types: [],
})
const checker = program.getTypeChecker()
const shown = file => relative(root, file).replaceAll('\\', '/')

/** A name where it was declared, through all imports and exports. */
const declared = symbol => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)

const operators = checker
  .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)))
  .filter(symbol => declared(symbol).flags & ts.SymbolFlags.Value)
const names = new Map(operators.map(symbol => [declared(symbol), symbol.name]))

/** Launchers that a declaration's code comes to, and other operators that it calls. */
function usedBy(start) {
  const [launchers, others, seen] = [new Set(), new Set(), new Set([start])]
  const visit = node => {
    if (ts.isIdentifier(node)) {
      const found = checker.getSymbolAtLocation(node)
      const symbol = found && declared(found)
      const declaration = symbol?.valueDeclaration
      const file = declaration && shown(declaration.getSourceFile().fileName)
      if (file && !seen.has(symbol) && symbol.flags & (ts.SymbolFlags.Function | ts.SymbolFlags.Variable)) {
        seen.add(symbol)
        const family = /^src\/kernels\/(\w+)\.ts$/.exec(file)?.[1]
        if (family && existsSync(join(root, 'wgsl', `${family}.wgsl`))) launchers.add(family)
        else if (names.has(symbol)) others.add(names.get(symbol))
        else if (file.startsWith('src/autograd/ops/')) visit(declaration)
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(start.valueDeclaration)
  others.delete(names.get(start))
  return { launchers: [...launchers].sort(), others: [...others].sort() }
}

const used = new Map([...names].map(([symbol, name]) => [name, usedBy(symbol)]))
const link = path => `[${basename(path)}](../../${path})`
const files = (families, folder, ending) =>
  families
    .map(family => `${folder}/${family}.${ending}`)
    .filter(path => existsSync(join(root, path)))
    .map(link)
    .join(', ')
const cell = text =>
  text
    .replace(/\{@link\s+(\w+)\s*\}/g, '`$1`')
    .replaceAll('|', '\\|')
    .replaceAll('<', '&lt;')
    .replace(/\s+/g, ' ')
    .trim()

/** How it is called, with the names of its arguments and their types. */
function callOf(symbol, name) {
  const type = checker.getTypeOfSymbolAtLocation(symbol, symbol.valueDeclaration)
  const [signature] = type.getCallSignatures()
  // What defineOp made takes its inputs in the order that they are named.
  const [definition] = symbol.valueDeclaration.initializer?.arguments ?? []
  const inputs = definition?.properties?.find(({ name }) => name?.getText() === 'inputs')
  if (inputs) {
    const named = inputs.initializer.elements.map(({ text }) => `${text}: Tensor`)
    return `${name}(${named.join(', ')})`
  }
  const parameters = signature.parameters.map(parameter => {
    const { valueDeclaration: declaration } = parameter
    const optional = declaration?.questionToken || declaration?.initializer ? '?' : ''
    const named = declaration && !ts.isIdentifier(declaration.name) ? 'options' : parameter.name
    const given = declaration?.type?.getText() ?? checker.typeToString(checker.getTypeOfSymbol(parameter))
    return `${declaration?.dotDotDotToken ? '...' : ''}${named}${optional}: ${given.replace(/\s+/g, ' ')}`
  })
  return `${name}(${parameters.join(', ')})`
}

/** Of an operator whose comment names none. */
const unnamedShapes = ({ valueDeclaration }) =>
  basename(valueDeclaration.getSourceFile().fileName) === 'pointwise.ts'
    ? 'any, where operands are several as they broadcast'
    : 'any'

const rows = [...names]
  .sort(([, a], [, b]) => a.localeCompare(b, 'en'))
  .map(([symbol, name]) => {
    const comment = ts.displayPartsToString(symbol.getDocumentationComment(checker))
    if (!comment) throw new Error(`${name} has no comment`)
    const first = /^[\s\S]*?[.](?=\s+[A-Z`]|\s*$)/.exec(comment)?.[0] ?? comment
    const shapes = [...new Set(comment.match(/(?<![\w)\]])\[(?:\.\.\.|[…\w])[^\]\n[]{0,40}\]/g) ?? [])]
    const { launchers, others } = used.get(name)
    const parts = [
      `call: \`${callOf(symbol, name)}\``,
      `shapes: ${shapes.map(one => `\`${one}\``).join(' ') || unnamedShapes(symbol)}`,
      launchers.length ? `kernels: ${files(launchers, 'wgsl', 'wgsl')}` : '',
      launchers.length ? `oracles: ${files(launchers, 'src/reference', 'ts')}` : '',
      others.length
        ? `by way of: ${others.map(other => `[${other}](#${other.toLowerCase()})`).join(', ')}`
        : '',
    ].filter(Boolean)
    return `### ${name}\n\n${cell(first)}\n\n${parts.map(part => `- ${part}\n`).join('')}`
  })

const made = join(docs, 'made')
mkdirSync(made, { recursive: true })
writeFileSync(
  join(made, 'operator-index.md'),
  `# Index of operators

Every operator: what it computes, the shapes that its comment names, the kernels it runs itself, forward and backward, with their oracles in float64, and the operators that it runs besides. PyTorch's names are in [Operators](../operators.md).
Made from the code by \`npm run docs\`.

## Operators by name

${rows.join('\n')}`,
)
console.log(`operators: ${names.size} in docs/made/operator-index.md`)
