import { expectLast, expectTensor } from '../autograd/checks.ts'
import {
  DenseParameter,
  dropout,
  embedding,
  gelu,
  type Ids,
  type Init,
  type LayerNormOptions,
  type Lookup,
  layerNorm,
  linear,
  type Rng,
  relu,
  TableParameter,
  type Tensor,
} from '../autograd/index.ts'
import { COUNT, expectNumber, expectOptions, POSITIVE, shown } from '../check.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import { Module } from './module.ts'

/** A module from one tensor to one tensor. */
export interface Layer extends Module {
  /** The result, of one tensor. */
  forward(x: Tensor): Tensor
}

/** How the parameters of a `Linear` start; without a bias where `bias` is false. */
export interface LinearOptions<Biased extends boolean = true> {
  /** U(-1/sqrt(in), 1/sqrt(in)) unless given, PyTorch's default. */
  weight?: Init
  /** The same unless given. */
  bias?: Init | Biased
}

function expectModule(what: string, name: string, module: unknown, layer = false): void {
  if (module instanceof Module && (!layer || ('forward' in module && typeof module.forward === 'function')))
    return
  const expected = layer ? 'a layer: a module with forward()' : 'a module'
  throw new ArgumentError(`${what}: ${name} is ${shown(module)}, expected ${expected}`)
}

function expectModules(what: string, modules: unknown, layers = false): void {
  const name = layers ? 'layers' : 'modules'
  if (!Array.isArray(modules))
    throw new ArgumentError(`${what}: ${name} is ${shown(modules)}, expected an array of ${name}`)
  // Holes count: they would move the names of all that follow.
  for (let i = 0; i < modules.length; i++) expectModule(what, `${name}[${i}]`, modules[i], layers)
}

/** y = x weightᵀ + bias: `torch.nn.Linear`. */
export class Linear<Biased extends boolean = true> extends Module implements Layer {
  /** [out, in]. */
  readonly weight: DenseParameter
  /** [out]; absent with `{ bias: false }`. */
  readonly bias: Biased extends true ? DenseParameter : undefined

  /** Weights and biases start as PyTorch's, or as given. */
  constructor(inFeatures: number, outFeatures: number, options: LinearOptions<Biased> = {}) {
    super()
    expectNumber('Linear: inFeatures', inFeatures, COUNT)
    expectNumber('Linear: outFeatures', outFeatures, COUNT)
    expectOptions('Linear: options', options, ['weight', 'bias'])
    const { weight, bias } = options
    const uniform: Init = { kind: 'uniform', bound: 1 / Math.sqrt(inFeatures) }
    this.weight = new DenseParameter([outFeatures, inFeatures], weight ?? uniform)
    const start = typeof bias === 'object' ? bias : uniform
    this.bias = (bias === false ? undefined : new DenseParameter([outFeatures], start)) as typeof this.bias
  }

  /** [..., in] to [..., out]; with an activation, one launch for both. */
  forward(x: Tensor, around: { activation?: 'gelu' | undefined } = {}): Tensor {
    expectTensor('Linear', 'input', x)
    expectLast('Linear', 'input', x, this.weight.shape[1]!, 'in_features')
    return linear(x, this.weight, this.bias, around)
  }

  protected override extraRepr(): string {
    const [out, inFeatures] = this.weight.shape
    return `in_features=${inFeatures}, out_features=${out}, bias=${this.bias ? 'True' : 'False'}`
  }
}

/** LayerNorm over the last dimension: `torch.nn.LayerNorm`. */
export class LayerNorm extends Module implements Layer {
  /** [H], starts at 1. */
  readonly weight: DenseParameter
  /** [H], starts at 0. */
  readonly bias: DenseParameter
  /** Added to the variance. */
  readonly eps: number

  /** `hidden` is H, the last dimension. */
  constructor(hidden: number, options: { eps?: number | undefined } = {}) {
    super()
    expectNumber('LayerNorm: hidden', hidden, COUNT)
    expectOptions('LayerNorm: options', options, ['eps'])
    const { eps = 1e-5 } = options
    expectNumber('LayerNorm: eps', eps, POSITIVE)
    this.weight = new DenseParameter([hidden], { kind: 'constant', value: 1 })
    this.bias = new DenseParameter([hidden], { kind: 'constant', value: 0 })
    this.eps = eps
  }

  /** Normalizes x; or x + residual, with dropout and ReLU around it where they are given: one launch for all. */
  forward(x: Tensor, around: Omit<LayerNormOptions, 'eps'> = {}): Tensor {
    expectTensor('LayerNorm', 'input', x)
    expectLast('LayerNorm', 'input', x, this.weight.size, 'normalized_shape')
    expectOptions('LayerNorm: around', around, ['residual', 'dropout', 'activation', 'outputDropout'])
    return layerNorm(x, this.weight, this.bias, { eps: this.eps, ...around })
  }

  protected override extraRepr(): string {
    return `(${this.weight.size},), eps=${pythonFloat(this.eps)}, elementwise_affine=True`
  }
}

/** A lookup table with row-sparse gradients: `torch.nn.Embedding`. */
export class Embedding extends Module {
  /** [rows, width]. */
  readonly weight: TableParameter

  /** Rows start from N(0, 1) unless `init` says otherwise; row `paddingIdx` is zero and stays so. */
  constructor(rows: number, width: number, options: { paddingIdx?: number; init?: Init } = {}) {
    super()
    expectNumber('Embedding: rows', rows, COUNT)
    expectNumber('Embedding: width', width, COUNT)
    expectOptions('Embedding: options', options, ['paddingIdx', 'init'])
    const { paddingIdx, init } = options
    this.weight = new TableParameter([rows, width], init ?? { kind: 'normal', std: 1 }, paddingIdx)
  }

  /** Rows by id, [n, width]; with `position`, plus the rows of a second table. */
  forward(ids: Ids, position?: Lookup): Tensor {
    return embedding(this.weight, ids, position)
  }

  protected override extraRepr(): string {
    const { shape, paddingIdx } = this.weight
    return `${shape[0]}, ${shape[1]}${paddingIdx === undefined ? '' : `, padding_idx=${paddingIdx}`}`
  }
}

/** Zeroes activations at random while training: `torch.nn.Dropout`. */
export class Dropout extends Module implements Layer {
  /** Probability of a zero. */
  readonly p: number

  /** @throws ConfigError for a probability outside 0 <= p < 1 */
  constructor(p = 0.5) {
    super()
    if (!(typeof p === 'number' && p >= 0 && p < 1))
      throw new ConfigError(
        `Dropout: p: dropout probability ${shown(p)} is out of range, expected 0 <= p < 1`,
      )
    this.p = p
  }

  /** Whether it does anything now. */
  get active(): boolean {
    return this.training && this.p > 0
  }

  /** The next mask's key: every call draws another one, the same in every run with one seed. */
  next(): Rng {
    return { seed: this.rng.seed, layer: 0, step: this.rng.step++ }
  }

  /** For an operation that drops by itself: probability and the next mask's key, or nothing where this does nothing now. */
  draw(): { p: number; rng: Rng } | undefined {
    return this.active ? { p: this.p, rng: this.next() } : undefined
  }

  /** x with a fresh mask while training; x itself in evaluation mode. Of any shape. */
  forward(x: Tensor): Tensor {
    if (!this.active) expectTensor('Dropout', 'input', x)
    return this.active ? dropout(x, this.p, this.next()) : x
  }

  protected override extraRepr(): string {
    return `p=${this.p}, inplace=False`
  }
}

/** `torch.nn.ReLU`. */
export class ReLU extends Module implements Layer {
  /** max(x, 0), of any shape. */
  forward(x: Tensor): Tensor {
    return relu(x)
  }
}

/** `torch.nn.GELU`, exact. */
export class GELU extends Module implements Layer {
  /** x times the normal distribution's cumulative function, of any shape. */
  forward(x: Tensor): Tensor {
    return gelu(x)
  }

  protected override extraRepr(): string {
    return `approximate='none'`
  }
}

/** transformers' name for the same function. */
export class GELUActivation extends GELU {
  protected override extraRepr(): string {
    return ''
  }
}

/**
 * Layers one after another: `torch.nn.Sequential`.
 *
 * @example
 * ```ts
 * import { nn } from 'kernelgrad'
 *
 * const mlp = new nn.Sequential([new nn.Linear(8, 32), new nn.LayerNorm(32), new nn.ReLU(), new nn.Linear(32, 2)])
 * ```
 */
export class Sequential extends Module implements Layer {
  /** Layers are named by their place: `0.weight`. */
  constructor(layers: Layer[]) {
    super()
    expectModules('Sequential', layers, true)
    Object.assign(this, layers)
  }

  /** A LayerNorm, and the ReLU and Dropout behind it, run as one. */
  forward(x: Tensor): Tensor {
    expectTensor('Sequential', 'input', x)
    const layers = [...this.namedChildren()].map(([, layer]) => layer as Layer)
    let y = x
    for (let i = 0; i < layers.length; i++) {
      const layer = layers[i]!
      if (!(layer instanceof LayerNorm)) {
        y = layer.forward(y)
        continue
      }
      const activation = layers[i + 1] instanceof ReLU ? 'relu' : undefined
      if (activation) i++
      const last = layers[i + 1]
      const outputDropout = last instanceof Dropout ? last.draw() : undefined
      if (last instanceof Dropout) i++
      y = layer.forward(y, { activation, outputDropout })
    }
    return y
  }
}

/** Numbered submodules: `torch.nn.ModuleList`. */
export class ModuleList<M extends Module> extends Module implements Iterable<M> {
  /** Modules are named by their place. */
  constructor(modules: M[]) {
    super()
    expectModules('ModuleList', modules)
    Object.assign(this, modules)
  }

  /** The modules in order. */
  *[Symbol.iterator](): Generator<M> {
    for (const [, module] of this.namedChildren()) yield module as M
  }
}

/** Submodules by name: `torch.nn.ModuleDict`. */
export class ModuleDict<M extends Module> extends Module {
  /** Modules are named by their key. */
  constructor(modules: Record<string, M>) {
    super()
    if (
      typeof modules !== 'object' ||
      modules === null ||
      Array.isArray(modules) ||
      modules instanceof Module
    )
      throw new ArgumentError(
        `ModuleDict: modules is ${shown(modules)}, expected an object of modules by name`,
      )
    for (const [name, module] of Object.entries(modules)) {
      if (name in this || name.includes('.') || name === '')
        throw new ConfigError(
          `ModuleDict: '${name}' cannot be a key: it is a member of every module, empty, or holds a dot`,
        )
      expectModule('ModuleDict', `'${name}'`, module)
    }
    Object.assign(this, modules)
  }

  /** The module of a name that is there. */
  get(name: string): M {
    const found = Object.hasOwn(this, name) && (this as unknown as Record<string, M>)[name]
    if (found instanceof Module) return found
    const names = [...this.namedChildren()].map(([known]) => known)
    throw new ConfigError(
      `ModuleDict: there is no module ${shown(name)}, expected one of ${names.join(', ') || 'none'}`,
    )
  }
}

/** A float as Python prints it. */
export function pythonFloat(value: number): string {
  return String(value)
    .replace(/e-(\d)$/, 'e-0$1')
    .replace(/^0\.0000(\d)$/, '$1e-05')
}
