"""Frozen values of operators: what PyTorch computes in float64, gradients included, stored as float32.

    python tools/make_operator_golden.py

Writes test/golden/operators/operators.safetensors: for every case its inputs `name.x0`, `name.x1` …, the result `name.y`, the gradient
that the backward pass starts from, `name.dy`, and those of the float inputs, `name.dx0` … Labels and places are int32.
"""
import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

OUT = 'test/golden/operators/operators.safetensors'
random = np.random.default_rng(11)


def values(*shape, low=-3.0, high=3.0):
    return random.uniform(low, high, shape).astype(np.float32)


def ints(below, *shape):
    return random.integers(0, below, shape).astype(np.int32)


def distribution(*shape):
    x = np.exp(values(*shape))
    return (x / x.sum(-1, keepdims=True)).astype(np.float32)


A, B, ROW, COLUMN = values(3, 5), values(3, 5), values(5), values(3, 1)
POSITIVE = values(3, 5, low=0.01, high=4)
WIDE = np.array([-1e4, -88.5, -20, -1e-6, 0, 1e-6, 0.7, 20, 88.5, 1e4], dtype=np.float32)
NEAR_ONE = np.array([1, 1.0000001, 0.9999999, 1.001, 0.999, 1e-30, 1e30, 0.5, 2], dtype=np.float32)
TIES = np.array([[1, 3, 3, -1], [2, 2, 2, 2], [0, -1, -2, -3]], dtype=np.float32)
BLOCK = values(2, 3, 4)
LOGITS, LABELS = values(6, 5), np.array([0, 4, 2, 2, 1, 3], dtype=np.int32)
WEIGHT, SOFT = values(5, low=0.2, high=2), distribution(6, 5)
STARTS = [0, 4, 5, 9]


def segments(x, of):
    return torch.stack([of(x[a:b]) for a, b in zip(STARTS, STARTS[1:])])


def softmax_of_segments(x):
    return torch.cat([F.softmax(x[a:b], 0) for a, b in zip(STARTS, STARTS[1:])])


def norm_of(module, x):
    return module.double()(x)


CASES = {
    **{name: (getattr(torch, name), [A]) for name in ['neg', 'abs', 'square', 'exp', 'expm1', 'sigmoid', 'tanh']},
    **{name: (getattr(torch, name), [POSITIVE]) for name in ['log', 'log1p', 'sqrt', 'rsqrt', 'reciprocal']},
    'silu': (F.silu, [A]),
    'softplus': (F.softplus, [A]),
    'leakyRelu': (lambda x: F.leaky_relu(x, 0.2), [A]),
    'elu': (lambda x: F.elu(x, 0.7), [A]),
    'clamp': (lambda x: torch.clamp(x, -1, 0.5), [A]),
    'softplus.wide': (F.softplus, [WIDE]),
    'sigmoid.wide': (torch.sigmoid, [WIDE]),
    'tanh.wide': (torch.tanh, [WIDE]),
    'silu.wide': (F.silu, [WIDE]),
    'elu.wide': (F.elu, [WIDE]),
    'log.near one': (torch.log, [NEAR_ONE]),
    'add': (torch.add, [A, ROW]),
    'sub': (torch.sub, [COLUMN, ROW]),
    'mul': (torch.mul, [A, COLUMN]),
    'div': (torch.div, [A, POSITIVE]),
    'maximum': (torch.maximum, [A, ROW]),
    'minimum': (torch.minimum, [A, ROW]),
    'maximum.ties': (torch.maximum, [TIES, np.zeros(4, dtype=np.float32)]),
    'pow': (torch.pow, [POSITIVE, A]),
    'pow.number': (lambda x: x ** 3, [A]),
    'pow.zero': (lambda x: x ** 0, [np.array([0, 1, -2], dtype=np.float32)]),
    'where': (lambda a, b: torch.where(a > 0, a * 2, b), [A, ROW]),
    'sum': (lambda x: x.sum((0, 2)), [BLOCK]),
    'mean': (lambda x: x.mean(1, keepdim=True), [BLOCK]),
    'max': (lambda x: torch.amax(x, 1), [TIES]),
    'min': (lambda x: torch.amin(x, (0, 1)), [BLOCK]),
    'variance': (lambda x: x.var((0, 2)), [BLOCK]),
    'std': (lambda x: x.std(1, correction=0), [BLOCK]),
    'logSumExp': (lambda x: torch.logsumexp(x, (0, 1)), [BLOCK]),
    'logSumExp.wide': (lambda x: torch.logsumexp(x, 1), [np.array([[1e4, 1e4 - 1], [-1e4, -1e4], [0, -1e4]], dtype=np.float32)]),
    'softmax': (lambda x: F.softmax(x, -1), [BLOCK]),
    'logSoftmax': (lambda x: F.log_softmax(x, -1), [BLOCK]),
    'matmul': (torch.matmul, [values(2, 1, 3, 4), values(3, 4, 2)]),
    'transpose': (lambda x: x.transpose(0, 2), [BLOCK]),
    'permute': (lambda x: x.permute(1, 2, 0), [BLOCK]),
    'slice': (lambda x: x[:, 1:, ::3], [BLOCK]),
    'concat': (lambda a, b: torch.cat([a, b, a], 1), [BLOCK, values(2, 1, 4)]),
    'stack': (lambda a, b: torch.stack([a, b], 1), [A, B]),
    'expand': (lambda x: x.expand(2, 3, 4), [COLUMN]),
    'takeRows': (lambda x, i: x[i.long()], [A, np.array([2, 0, 2, 2], dtype=np.int32)]),
    'indexSelect': (lambda x, i: torch.index_select(x, 1, i), [BLOCK, np.array([1, 1, 0], dtype=np.int32)]),
    'gather': (lambda x, i: torch.gather(x, 1, i.long()), [A, ints(5, 3, 4)]),
    'topK': (lambda x: torch.topk(x, 3, 1).values, [A]),
    'normalize': (lambda x: F.normalize(x, dim=-1), [A]),
    'cosineSimilarity': (lambda a, b: F.cosine_similarity(a, b, dim=-1), [A, B]),
    'segmentSum': (lambda x: segments(x, lambda s: s.sum(0)), [values(9, 2)]),
    'segmentMax': (lambda x: segments(x, lambda s: torch.amax(s, 0)), [values(9, 2)]),
    'segmentLogSumExp': (lambda x: segments(x, lambda s: torch.logsumexp(s, 0)), [values(9, 2)]),
    'segmentSoftmax': (softmax_of_segments, [values(9, 2)]),
    'crossEntropy': (lambda x, y: F.cross_entropy(x, y.long()), [LOGITS, LABELS]),
    'crossEntropy.weight': (lambda x, w, y: F.cross_entropy(x, y.long(), w.detach()), [LOGITS, WEIGHT, LABELS]),
    'crossEntropy.smoothing': (lambda x, y: F.cross_entropy(x, y.long(), label_smoothing=0.2), [LOGITS, LABELS]),
    'crossEntropy.ignore': (lambda x, y: F.cross_entropy(x, y.long(), ignore_index=2), [LOGITS, LABELS]),
    'crossEntropy.all': (
        lambda x, w, y: F.cross_entropy(x, y.long(), w.detach(), ignore_index=2, label_smoothing=0.1), [LOGITS, WEIGHT, LABELS]),
    'crossEntropy.soft': (F.cross_entropy, [LOGITS, SOFT]),
    'crossEntropy.soft weight': (
        lambda x, t, w: F.cross_entropy(x, t, w.detach(), label_smoothing=0.1), [LOGITS, SOFT, WEIGHT]),
    'bceWithLogits': (F.binary_cross_entropy_with_logits, [A, values(3, 5, low=0, high=1)]),
    'bceWithLogits.weights': (
        lambda x, y, w, p: F.binary_cross_entropy_with_logits(x, y, w.detach(), pos_weight=p.detach(), reduction='sum'),
        [A, values(3, 5, low=0, high=1), POSITIVE, values(5, low=0.5, high=3)]),
    'mse': (F.mse_loss, [A, B]),
    'klDiv': (lambda x, t: F.kl_div(F.log_softmax(x, -1), t, reduction='batchmean'), [LOGITS, SOFT]),
    'klDiv.log': (lambda x, t: F.kl_div(x, t, reduction='mean', log_target=True), [A, B]),
    'marginRanking': (
        lambda a, b, y: F.margin_ranking_loss(a, b, y.double(), margin=0.3), [A, B, np.where(ints(2, 3, 5) > 0, 1, -1).astype(np.int32)]),
    'RMSNorm': (lambda x: norm_of(nn.RMSNorm(5, eps=1e-3), x), [A]),
    'BatchNorm1d': (lambda x: norm_of(nn.BatchNorm1d(5), x), [values(4, 5)]),
    'causal attention': (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [values(2, 6, 4), values(2, 6, 4), values(2, 6, 4)]),
    'cross attention': (F.scaled_dot_product_attention, [values(2, 3, 4), values(2, 5, 4), values(2, 5, 4)]),
}


def main():
    stored = {}
    for name, (function, arrays) in CASES.items():
        inputs = [torch.from_numpy(x.copy()) for x in arrays]
        inputs = [x.double().requires_grad_() if x.is_floating_point() else x for x in inputs]
        y = function(*inputs)
        dy = torch.from_numpy(values(*y.shape)).double()
        y.backward(dy)
        stored[f'{name}.y'] = y.detach()
        stored[f'{name}.dy'] = dy
        for i, x in enumerate(inputs):
            stored[f'{name}.x{i}'] = x.detach()
            if x.requires_grad and x.grad is not None:
                stored[f'{name}.dx{i}'] = x.grad
    floats = {name: x.numpy().astype(np.int32 if x.dtype == torch.int32 else np.float32) for name, x in stored.items()}
    save_file({name: np.ascontiguousarray(x) for name, x in floats.items()}, OUT)
    print(len(CASES), 'cases', sum(x.nbytes for x in floats.values()), 'bytes, PyTorch', torch.__version__)


if __name__ == '__main__':
    main()
