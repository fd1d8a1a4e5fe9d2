"""Frozen values of every optimizer over a table whose rows have gradients rarely: test/golden/optim.

    python tools/make_optim_golden.py

300 steps with changing learning rates. Adam, AdamW, SGD and Adagrad are PyTorch's on dense gradients in float64; row-wise Adagrad
is FBGEMM's, in float32. Needs torch and fbgemm-gpu-cpu of versions that fit each other (2.14.0 and 1.9.0 do).
"""
import json
import os
import fbgemm_gpu
import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice, OptimType, SplitTableBatchedEmbeddingBagsCodegen, WeightDecayMode)
from safetensors.torch import save_file

OUT = 'test/golden/optim'
V, H, STEPS, TOUCHED = 24, 6, 300, 3
AT = (1, 10, 100, STEPS)
TORCH = {'adamw_torch': torch.optim.AdamW, 'adam': torch.optim.Adam, 'sgd': torch.optim.SGD, 'adagrad': torch.optim.Adagrad}
# `clip` is the norm that gradients are clipped to.
CASES = [
    {'name': 'adamw', 'rule': 'adamw_torch', 'options': {'weight_decay': 0.1}, 'clip': 1.0},
    {'name': 'adam', 'rule': 'adam', 'options': {}, 'clip': None},
    {'name': 'adam_decay', 'rule': 'adam', 'options': {'weight_decay': 0.1, 'betas': [0.8, 0.99]}, 'clip': 1.0},
    {'name': 'sgd', 'rule': 'sgd', 'options': {}, 'clip': None},
    {'name': 'sgd_decay', 'rule': 'sgd', 'options': {'weight_decay': 0.1}, 'clip': 1.0},
    {'name': 'momentum', 'rule': 'sgd', 'options': {'momentum': 0.9}, 'clip': None},
    {'name': 'dampening', 'rule': 'sgd', 'options': {'momentum': 0.95, 'dampening': 0.5, 'weight_decay': 0.1}, 'clip': 1.0},
    {'name': 'nesterov', 'rule': 'sgd', 'options': {'momentum': 0.9, 'nesterov': True, 'weight_decay': 0.01}, 'clip': 1.0},
    {'name': 'adagrad', 'rule': 'adagrad', 'options': {'eps': 1e-8}, 'clip': None},
    {'name': 'adagrad_decay', 'rule': 'adagrad', 'options': {'eps': 1e-8, 'weight_decay': 0.1}, 'clip': 1.0},
    {'name': 'rowwise_adagrad', 'rule': 'rowwise_adagrad', 'options': {}, 'clip': None},
    {'name': 'rowwise_adagrad_decay', 'rule': 'rowwise_adagrad', 'options': {'eps': 1e-3, 'weight_decay': 0.1}, 'clip': 1.0},
]


def draw():
    g = torch.Generator().manual_seed(17)
    # Row r is drawn with weight 1 / (r + 1)^2, so that the last rows sit out hundreds of steps; the very last has none at all.
    weights = 1.0 / torch.arange(1, V + 1, dtype=torch.float64) ** 2
    weights[-1] = 0
    ids = torch.stack([torch.multinomial(weights, TOUCHED, generator=g).sort().values for _ in range(STEPS)])
    grads = torch.randn(STEPS, TOUCHED, H, generator=g) * torch.rand(STEPS, 1, 1, generator=g) * 2
    lr = 0.02 * (1 + torch.cos(torch.arange(STEPS) * 0.1)) / 2 + 0.001
    return {'w0': torch.randn(V, H, generator=g), 'ids': ids.int(), 'grads': grads, 'lr': lr.float()}


def clipped(grads, clip):
    return grads if clip is None else grads * min(1.0, clip / (grads.norm().item() + 1e-6))


def run_torch(case, given):
    w = torch.nn.Parameter(given['w0'].double())
    optimizer = TORCH[case['rule']]([w], lr=1.0, **case['options'])
    for step in range(STEPS):
        optimizer.param_groups[0]['lr'] = given['lr'][step].item()
        w.grad = torch.zeros_like(w)
        w.grad[given['ids'][step].long()] = given['grads'][step].double()
        if case['clip'] is not None:
            torch.nn.utils.clip_grad_norm_([w], case['clip'])
        optimizer.step()
        if step + 1 in AT:
            yield f'w{step + 1}', w.detach()
    for name, value in optimizer.state[w].items():
        if name != 'step' and value is not None:
            yield name, value


def run_fbgemm(case, given):
    decay = case['options'].get('weight_decay', 0.0)
    table = SplitTableBatchedEmbeddingBagsCodegen(
        [(V, H + 2, EmbeddingLocation.HOST, ComputeDevice.CPU)], optimizer=OptimType.EXACT_ROWWISE_ADAGRAD, learning_rate=1.0,
        eps=case['options'].get('eps', 1e-8), weight_decay=decay,
        weight_decay_mode=WeightDecayMode.L2 if decay else WeightDecayMode.NONE, pooling_mode=PoolingMode.NONE)
    w = table.split_embedding_weights()[0]
    w.copy_(widened(given['w0']))
    for step in range(STEPS):
        table.set_learning_rate(given['lr'][step].item())
        ids = given['ids'][step].long()
        out = table(ids, torch.tensor([0, TOUCHED]))
        out.backward(clipped(widened(given['grads'][step]), case['clip']))
        if step + 1 in AT:
            yield f'w{step + 1}', w
    yield 'sum', table.get_optimizer_state()[0]['sum']


def widened(x):
    """FBGEMM wants rows of a multiple of four: the first two columns once more at the end."""
    return torch.cat([x, x[:, :2]], 1)


def main():
    given = draw()
    given['w0'], given['grads'] = given['w0'].float(), given['grads'].float()
    tensors = dict(given)
    for case in CASES:
        wide = case['rule'] == 'rowwise_adagrad'
        for name, value in (run_fbgemm if wide else run_torch)(case, given):
            tensors[f'{case["name"]}.{name}'] = value.detach().float().contiguous().clone()
    os.makedirs(OUT, exist_ok=True)
    save_file(tensors, f'{OUT}/optim.safetensors')
    versions = {'torch': torch.__version__, 'fbgemm': fbgemm_gpu.__version__}
    note = f'rowwise_adagrad: rows of {H + 2} values, of which the last two are the first two once more'
    os.chmod(f'{OUT}/optim.safetensors', 0o644)
    json.dump({'steps': STEPS, 'cases': CASES, 'note': note, **versions}, open(f'{OUT}/case.json', 'w'), indent=1)


main()
