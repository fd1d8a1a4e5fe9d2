import { expectGpu } from '../autograd/checks.ts'
import {
  type Arena,
  allocateDense,
  DenseParameter,
  freeHalves,
  initialize,
  numel,
  type Parameter,
  TableParameter,
  Tensor,
} from '../autograd/index.ts'
import { expectFlag, expectNumber, expectOptions, shown, UINT32 } from '../check.ts'
import { ConfigError, KernelgradError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { Buffer, Counter } from './buffers.ts'
import { chooseNames } from './patterns.ts'
import { type LoadResult, readState, type StateDict, type StateTensor, writeState } from './state-dict.ts'

/** What dropout masks are drawn from: one seed per model, and a count of the masks drawn so far. */
export interface RngState {
  /** Set by `to`. */
  seed: number
  /** Masks drawn so far. */
  step: number
}

/**
 * Base of every layer and model: `torch.nn.Module`. Parameters and submodules are the object's own properties, under
 * PyTorch's names, in the order they were assigned.
 *
 * @example
 * ```ts
 * import { add, nn, type Tensor } from 'kernelgrad'
 *
 * class Residual extends nn.Module {
 *   readonly inner = new nn.Linear(16, 16)
 *
 *   forward(x: Tensor): Tensor {
 *     return add(x, this.inner.forward(x))
 *   }
 * }
 * const block = new Residual().to(gpu, { seed: 1 })
 * console.log([...block.namedParameters()].map(([name]) => name)) // inner.weight, inner.bias
 * ```
 */
export abstract class Module {
  /** Whether dropout is on; `train()` and `eval()` set it below too. */
  training = true
  #rng: RngState = { seed: 0, step: 0 }
  #arenas: Arena[] = []
  #gpu: Gpu | undefined
  /** The module whose `to` gave this one its device: its memory is that one's. */
  #holder: Module | undefined;

  /** Submodules by name. */
  *namedChildren(): Generator<[string, Module]> {
    for (const [name, value] of Object.entries(this)) if (value instanceof Module) yield [name, value]
  }

  /** This module and everything below it, each once. */
  *namedModules(prefix = '', seen = new Set<Module>()): Generator<[string, Module]> {
    if (seen.has(this)) return
    seen.add(this)
    yield [prefix, this]
    for (const [name, child] of this.namedChildren()) yield* child.namedModules(join(prefix, name), seen)
  }

  /** Parameters by their PyTorch name; a shared one once, under its first name. */
  *namedParameters(): Generator<[string, Parameter]> {
    const seen = new Set<Parameter>()
    for (const [prefix, module] of this.namedModules())
      for (const [name, value] of ownParameters(module, seen)) yield [join(prefix, name), value]
  }

  /** What is saved with the parameters and not trained, by its PyTorch name: `torch.nn.Module.named_buffers`. */
  *namedBuffers(): Generator<[string, Buffer | Counter]> {
    for (const [prefix, module] of this.namedModules())
      for (const [name, value] of ownBuffers(module)) yield [join(prefix, name), value]
  }

  /** All that is saved, by name: of every module its parameters, then its buffers, as PyTorch orders them. */
  *namedState(): Generator<[string, Parameter | Counter]> {
    const seen = new Set<Parameter>()
    for (const [prefix, module] of this.namedModules()) {
      for (const [name, value] of ownParameters(module, seen)) yield [join(prefix, name), value]
      for (const [name, value] of ownBuffers(module)) yield [join(prefix, name), value]
    }
  }

  /** Parameters in order. */
  *parameters(): Generator<Parameter> {
    for (const [, parameter] of this.namedParameters()) yield parameter
  }

  /** Number of trained values. */
  numParameters(): number {
    let count = 0
    for (const parameter of this.parameters()) count += numel(parameter.shape)
    return count
  }

  /**
   * Stops training the parameters whose names match any of the patterns, as `requires_grad_(False)`: they get no gradient, no
   * update and no weight decay. '*' stands for any characters, dots included. Returns their names. Freeze before the optimizer is
   * made: then they take no room in it.
   * @throws ConfigError for a pattern that matches nothing, and where only some of q, k and v of a layer would be frozen.
   */
  freeze(...patterns: string[]): string[] {
    return this.#setTrained('freeze', patterns, false)
  }

  /** Trains the parameters whose names match again; an optimizer that was made while they were frozen does not know them. */
  unfreeze(...patterns: string[]): string[] {
    return this.#setTrained('unfreeze', patterns, true)
  }

  #setTrained(what: string, patterns: string[], trained: boolean): string[] {
    const parameters = new Map(this.namedParameters())
    const chosen = chooseNames(parameters.keys(), patterns, what)
    const after = (name: string) => (chosen.has(name) ? trained : parameters.get(name)!.requiresGrad)
    const packs = new Map<DenseParameter, string>()
    for (const [name, parameter] of parameters) {
      if (!(parameter instanceof DenseParameter) || !parameter.parent) continue
      const first = packs.get(parameter.parent) ?? name
      packs.set(parameter.parent, first)
      if (after(first) !== after(name))
        throw new ConfigError(
          `${what}: ${first} and ${name} lie side by side and are trained together; name both, or neither`,
        )
    }
    for (const name of chosen) parameters.get(name)!.requiresGrad = trained
    return [...chosen]
  }

  /** Training mode: dropout is on. */
  train(mode = true): this {
    expectFlag('train: mode', mode)
    for (const [, module] of this.namedModules()) module.training = mode
    return this
  }

  /** Evaluation mode: dropout is off. */
  eval(): this {
    return this.train(false)
  }

  /** Where dropout masks come from; set `step` to continue a run. */
  get rng(): RngState {
    return this.#rng
  }

  /** Whether it is on a device. */
  get placed(): boolean {
    return this.#gpu !== undefined
  }

  /** The device it is on. Throws a KernelgradError before `to`. */
  get gpu(): Gpu {
    if (!this.#gpu)
      throw new KernelgradError(`${this.constructor.name} is on no device yet; call model.to(gpu) first`)
    return this.#gpu
  }

  /**
   * Gives the model memory on a device and draws its starting values from `seed`, an unsigned 32-bit number. Where that fails, it has
   * none, as before.
   * @throws KernelgradError where it, or a module inside it, is on a device already; ConfigError for fields whose parameters nobody
   * would find (modules or parameters in an array, tensors that are no parameter), naming them
   */
  to(gpu: Gpu, options: { seed?: number } = {}): this {
    expectGpu('to: gpu', gpu)
    expectOptions('to: options', options, ['seed'])
    const { seed = 0 } = options
    expectNumber('to: seed', seed, UINT32)
    for (const [name, module] of this.namedModules()) {
      checkFields(module)
      if (!module.#gpu) continue
      const which = name ? `its module '${name}' is` : 'is'
      throw new KernelgradError(
        `to: ${this.constructor.name}${name ? ':' : ''} ${which} on a device already; free() it first`,
      )
    }
    const parameters = [...this.parameters()]
    const buffers = [...this.namedBuffers()].map(([, buffer]) => buffer)
    const kept = buffers.filter(buffer => buffer instanceof Buffer)
    const rng = { seed, step: 0 }
    try {
      this.#arenas = allocateDense(
        gpu,
        parameters.filter(parameter => parameter instanceof DenseParameter),
      )
      // Apart: they change with every batch, and f16 copies are made of whole arenas.
      this.#arenas.push(...allocateDense(gpu, kept))
      for (const parameter of parameters) if (parameter instanceof TableParameter) parameter.allocate(gpu)
      for (const [stream, parameter] of [...parameters, ...kept].entries())
        initialize(parameter, seed, stream)
      for (const buffer of buffers) if (buffer instanceof Counter) buffer.value = 0
    } catch (error) {
      this.#release(gpu)
      throw error
    }
    for (const [, module] of this.namedModules()) {
      module.#gpu = gpu
      module.#rng = rng
      module.#holder = this
    }
    return this
  }

  /** The values of every parameter and buffer by name, read from the device: `torch.nn.Module.state_dict`. A shared one stands once. */
  stateDict(): Promise<StateDict> {
    return readState(this.namedState())
  }

  /**
   * Sets parameters and buffers by name, from a `stateDict()` or the tensors of `parseSafetensors`: `torch.nn.Module.load_state_dict`. The
   * model is on a device. Nothing is set when anything does not fit.
   * @param options.strict whether names that are missing or too many are an error; true unless given.
   * @throws CheckpointError naming the parameter, what it is in the state, and what was expected.
   */
  loadStateDict(
    state: Iterable<readonly [string, StateTensor]>,
    options: { strict?: boolean } = {},
  ): LoadResult {
    expectOptions('loadStateDict: options', options, ['strict'])
    const { strict = true } = options
    expectFlag('loadStateDict: strict', strict)
    return writeState(this.namedState(), state, strict)
  }

  /** Forgets every gradient. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) {
      if (parameter instanceof DenseParameter) parameter.root.zeroGrad()
      else parameter.zeroGrad()
    }
  }

  /**
   * Returns the model's memory; its parameters then have none, and `to` gives it memory anew.
   * @throws KernelgradError for a part of a model, which shares that one's memory
   */
  free(): void {
    if (!this.#gpu) return
    if (this.#holder !== this)
      throw new KernelgradError(
        `free: ${this.constructor.name} is a part of ${this.#holder?.constructor.name}, whose memory it shares; free() that one`,
      )
    this.#release(this.#gpu)
    for (const [, module] of this.namedModules()) {
      if (module.#holder !== this) continue
      module.#gpu = undefined
      module.#holder = undefined
    }
  }

  #release(gpu: Gpu): void {
    for (const arena of this.#arenas) {
      freeHalves(arena)
      for (const view of arena.held) gpu.release(view)
      for (const { parameter } of arena.blocks) parameter.place(undefined)
    }
    for (const parameter of this.parameters())
      if (parameter instanceof TableParameter && parameter.placed) parameter.free()
    this.#arenas = []
  }

  /** What stands between the parentheses of the printed module, before its submodules. */
  protected extraRepr(): string {
    return ''
  }

  /** The module tree as PyTorch prints it. */
  toString(): string {
    const children = groupRepeats([...this.namedChildren()].map(([name, child]) => [name, String(child)]))
    const name = this.reprName()
    if (!children.length) return `${name}(${this.extraRepr()})`
    const lines = children.map(([key, text]) => `  (${key}): ${text.replaceAll('\n', '\n  ')}`)
    return `${name}(\n${lines.join('\n')}\n)`
  }

  /** The class name in the printed tree. */
  protected reprName(): string {
    return this.constructor.name
  }
}

function* ownParameters(module: Module, seen: Set<Parameter>): Generator<[string, Parameter]> {
  for (const [name, value] of Object.entries(module)) {
    const trained = value instanceof DenseParameter || value instanceof TableParameter
    if (!trained || value instanceof Buffer || seen.has(value)) continue
    seen.add(value)
    yield [name, value]
  }
}

function* ownBuffers(module: Module): Generator<[string, Buffer | Counter]> {
  for (const [name, value] of Object.entries(module))
    if (value instanceof Buffer || value instanceof Counter) yield [name, value]
}

/** Fields that hold what is trained, where `parameters()` does not look. */
function checkFields(module: Module): void {
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) continue
    const where = `to: ${module.constructor.name}.${name}`
    if (value instanceof Tensor && !(value instanceof DenseParameter) && value.requiresGrad)
      throw new ConfigError(
        `${where} is ${shown(value)} that requires a gradient, and no parameter: nothing would train or save it; expected a DenseParameter`,
      )
    const inside = Array.isArray(value) || value instanceof Set ? [...value] : membersOf(value)
    const found = inside.find(isTrained)
    if (found !== undefined)
      throw new ConfigError(
        `${where} is ${shown(value)} with ${shown(found)} inside, where its parameters are not found; expected a ModuleList, ModuleDict, or fields of their own`,
      )
  }
}

const membersOf = (value: object): unknown[] => {
  if (value instanceof Map) return [...value.values()]
  return Object.getPrototypeOf(value) === Object.prototype ? Object.values(value) : []
}

const isTrained = (value: unknown): boolean =>
  value instanceof Module ||
  value instanceof DenseParameter ||
  value instanceof TableParameter ||
  value instanceof Counter

const join = (prefix: string, name: string) => (prefix ? `${prefix}.${name}` : name)

/** Numbered neighbours that print the same become one line: `(0-1): 2 x Block(…)`. */
function groupRepeats(children: [string, string][]): [string, string][] {
  const out: [string, string][] = []
  for (let i = 0; i < children.length; ) {
    const [name, text] = children[i]!
    let end = i + 1
    while (/^\d+$/.test(name) && end < children.length && children[end]![1] === text) end++
    out.push(end - i > 1 ? [`${name}-${children[end - 1]![0]}`, `${end - i} x ${text}`] : [name, text])
    i = end
  }
  return out
}
