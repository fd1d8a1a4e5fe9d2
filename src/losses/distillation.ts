// What a student is trained on beside a teacher: soft targets made of the teacher's logits (Hinton and others 2015), or the logits
// themselves. The teacher's tensors are constants here, whatever made them.

import { expectTensors } from '../autograd/checks.ts'
import {
  add,
  bceWithLogits,
  detach,
  expectShape,
  logSoftmax,
  mse,
  mul,
  reshape,
  rowsAndColumns,
  scale,
  select,
  softmax,
  sum,
  type Tensor,
  tensor,
} from '../autograd/index.ts'
import { klExcessOf } from '../autograd/ops/pointwise.ts'
import { expectNumber, expectOneOf, expectOptions, POSITIVE, PROBABILITY } from '../check.ts'
import { ShapeError } from '../errors.ts'

/** Names of the soft losses, as a configuration has them. */
export const DISTILLATION_LOSSES = ['kl', 'soft_cross_entropy', 'mse', 'margin_mse', 'soft_labels'] as const
/** The name of a soft loss. */
export type DistillationLoss = (typeof DISTILLATION_LOSSES)[number]

/** How soft a teacher's answers are taken. */
export interface DistillationOptions {
  /** T: logits are divided by it before the softmax; 1 unless given. */
  temperature?: number
}

/** A student's logits and the teacher's, both [rows, C], the teacher's a constant. */
function pair(name: string, student: Tensor, teacher: Tensor): { s: Tensor; t: Tensor; rows: number } {
  expectTensors(name, { student, teacher })
  const [rows] = logitShape(`${name}: student`, student)
  const [, C] = logitShape(`${name}: teacher`, teacher)
  const [s, t] = [student.shape[1] === 1 ? twoClasses(student) : student, detach(teacher)]
  const both = C === 1 ? twoClasses(t) : t
  expectShape(`${name}: teacher`, both, s.shape)
  return { s, t: both, rows }
}

function logitShape(what: string, logits: Tensor): [number, number] {
  if (logits.shape.length === 2 && logits.shape.every(size => size > 0)) return rowsAndColumns(logits)
  throw new ShapeError(`${what} has shape [${logits.shape}], expected logits [rows, classes]`)
}

/** [rows, 2] of one logit z a row, whose softmax has sigmoid(z): [0, z]. */
const twoClasses = (z: Tensor): Tensor => mul(z, tensor(z.gpu, Float32Array.of(0, 1), [1, 2]))

/** [rows], logit 1 less logit 0; one logit is itself the margin. */
function margin(logits: Tensor): Tensor {
  const [rows, C] = rowsAndColumns(logits)
  if (C === 1) return reshape(logits, [rows])
  const signs = Float32Array.from({ length: C }, (_, c) => (c === 0 ? -1 : c === 1 ? 1 : 0))
  return sum(mul(logits, tensor(logits.gpu, signs, [1, C])), 1)
}

function temperatureOf(name: string, options: DistillationOptions): number {
  expectOptions(`${name}: options`, options, ['temperature'])
  const { temperature = 1 } = options
  expectNumber(`${name}: temperature`, temperature, POSITIVE)
  return temperature
}

const softened = (logits: Tensor, T: number) => (T === 1 ? logits : scale(logits, 1 / T))

/**
 * T² times the Kullback-Leibler divergence from the student's softened probabilities to the teacher's, summed over classes, the mean of the
 * rows. T² keeps its gradient as large as that of the labels' loss, whatever T is.
 * @param student [rows, C] logits, or [rows, 1]: one logit z that means sigmoid(z), the two classes' logits [0, z].
 * @param teacher as the student's; a constant. Result [1].
 * @throws ConfigError for a temperature that is not above 0; ShapeError where the two differ
 *
 * @example
 * ```ts
 * import { losses, tensor } from 'kernelgrad'
 *
 * const student = tensor(gpu, Float32Array.of(0.2, 1.5), [1, 2], { requiresGrad: true })
 * const teacher = tensor(gpu, Float32Array.of(-1, 3), [1, 2])
 * losses.kl(student, teacher, { temperature: 2 }).backward()
 * ```
 */
export function kl(student: Tensor, teacher: Tensor, options: DistillationOptions = {}): Tensor {
  const T = temperatureOf('kl', options)
  const { s, t, rows } = pair('kl', student, teacher)
  const [logs, targets] = [logSoftmax(softened(s, T)), logSoftmax(softened(t, T))]
  return scale(sum(klExcessOf(logs, targets)), (T * T) / rows)
}

/**
 * T² times the cross-entropy of the student's softened probabilities against the teacher's, the mean of the rows: {@link kl} and the teacher's
 * entropy, so its gradient is the same. Shapes and errors are those of `kl`.
 */
export function softCrossEntropy(
  student: Tensor,
  teacher: Tensor,
  options: DistillationOptions = {},
): Tensor {
  const T = temperatureOf('softCrossEntropy', options)
  const { s, t, rows } = pair('softCrossEntropy', student, teacher)
  return scale(sum(mul(logSoftmax(softened(s, T)), softmax(softened(t, T)))), -(T * T) / rows)
}

/**
 * Squared error of the logits, the mean over all entries. A student of one logit is held against the teacher's logit 1 less its logit 0. Shapes and
 * errors are those of {@link kl}.
 */
export function logitMse(student: Tensor, teacher: Tensor): Tensor {
  expectTensors('logitMse', { student, teacher })
  const [, C] = logitShape('logitMse: student', student)
  if (C === 1) return marginMse(student, teacher)
  const { s, t } = pair('logitMse', student, teacher)
  return mse(s, t)
}

/**
 * Squared error of the margins, logit 1 less logit 0, the mean of the rows: what is added to all logits of a row does not count. Of more than two
 * classes the first two count. Shapes and errors are those of {@link kl}.
 */
export function marginMse(student: Tensor, teacher: Tensor): Tensor {
  expectTensors('marginMse', { student, teacher })
  const [rows] = logitShape('marginMse: student', student)
  logitShape('marginMse: teacher', teacher)
  const [s, t] = [margin(student), margin(detach(teacher))]
  expectShape('marginMse: teacher', t, [rows])
  return mse(s, t)
}

/**
 * [rows], the softened probability of class 1, a constant: what {@link softLabels} takes.
 * @param teacher [rows, 2] logits, or [rows, 1]: one logit z that means sigmoid(z).
 * @throws ShapeError for another number of classes
 */
export function softProbability(teacher: Tensor, options: DistillationOptions = {}): Tensor {
  const T = temperatureOf('softProbability', options)
  expectTensors('softProbability', { teacher })
  const [, C] = logitShape('softProbability: teacher', teacher)
  if (C > 2)
    throw new ShapeError(`softProbability: teacher has shape [${teacher.shape}], expected one or two logits`)
  const t = detach(teacher)
  return select(softmax(softened(C === 1 ? twoClasses(t) : t, T)), 1, 1)
}

/**
 * TwinBERT's loss: sigmoid cross-entropy of one logit z against probabilities, the mean of the rows. Without T²: the student's own probability
 * is held against the softened one.
 * @param student [rows, 1] logits, or [rows, 2], of which z is logit 1 less logit 0.
 * @param probabilities [rows], a constant: {@link softProbability} of a teacher. Result [1].
 * @throws ShapeError for other shapes
 */
export function softLabels(student: Tensor, probabilities: Tensor): Tensor {
  expectTensors('softLabels', { student, probabilities })
  const [rows, C] = logitShape('softLabels: student', student)
  if (C > 2)
    throw new ShapeError(`softLabels: student has shape [${student.shape}], expected one or two logits`)
  expectShape('softLabels: probabilities', probabilities, [rows])
  return bceWithLogits(margin(student), detach(probabilities))
}

/**
 * A soft loss by the name that a configuration has for it. Temperature counts in 'kl', 'soft_cross_entropy' and 'soft_labels'; the two squared errors take
 * the logits as they are.
 * @param student [rows, C] logits, or [rows, 1]; `teacher` as {@link kl} takes it. Result [1].
 * @throws ConfigError for an unknown loss or a temperature that is not above 0; ShapeError for logits of other classes
 */
export function distillation(
  student: Tensor,
  teacher: Tensor,
  options: DistillationOptions & { loss?: DistillationLoss } = {},
): Tensor {
  expectOptions('distillation: options', options, ['loss', 'temperature'])
  const { loss = 'kl', temperature = 1 } = options
  expectOneOf('distillation: loss', loss, DISTILLATION_LOSSES)
  expectNumber('distillation: temperature', temperature, POSITIVE)
  switch (loss) {
    case 'kl':
      return kl(student, teacher, { temperature })
    case 'soft_cross_entropy':
      return softCrossEntropy(student, teacher, { temperature })
    case 'mse':
      return logitMse(student, teacher)
    case 'margin_mse':
      return marginMse(student, teacher)
    case 'soft_labels':
      return softLabels(student, softProbability(teacher, { temperature }))
  }
}

/**
 * alpha times the soft loss and 1 - alpha times the other: what a student learns from its teacher and from the labels.
 * @throws ConfigError for an alpha outside 0 to 1
 */
export function mixed(soft: Tensor, hard: Tensor, alpha: number): Tensor {
  expectNumber('mixed: alpha', alpha, PROBABILITY)
  expectTensors('mixed', { soft, hard })
  return add(scale(soft, alpha), scale(hard, 1 - alpha))
}
