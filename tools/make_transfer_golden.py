"""Frozen values of two-stage training: frozen layers, decay by pattern, layer-wise rates. Starts from test/golden/tiny.

    python tools/make_transfer_golden.py

Stage one freezes the embeddings and the first layer; stage two trains everything with a new optimizer. Values are
computed in float64 and stored as float32 in test/golden/transfer.
"""
import json
import os
import re
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from notebook_model import TextTabular

TINY, OUT = 'test/golden/tiny', 'test/golden/transfer'
STAGES = [
    {'freeze': ['bert.embeddings.*', 'bert.transformer.layer.0.*'], 'layer_decay': 0.75, 'steps': 4},
    {'freeze': [], 'layer_decay': 0.5, 'steps': 4},
]
SETTINGS = {'learning_rate': 5e-3, 'encoder_learning_rate': 1e-3, 'weight_decay': 0.1, 'accumulate': 2, 'max_grad_norm': 1.0,
            'no_decay': ['*.bias', '*LayerNorm*']}


def matches(name, pattern):
    return re.fullmatch('.*'.join(map(re.escape, pattern.split('*'))), name)


def depth_of(name, layers):
    if not name.startswith('bert.'):
        return None
    layer = re.search(r'\.layer\.(\d+)\.', name)
    return 0 if 'embeddings.' in name else int(layer[1]) + 1


def main():
    case = json.load(open(f'{TINY}/case.json'))
    encoder = dict(case['config']['bert'], dropout=0, attention_dropout=0)
    config = {'features_config': case['config']['features'], 'mlp_config': case['config']['mlp'], 'num_labels': 2, 'pretrained_model_config': encoder}
    model = TextTabular(config).double().train()
    model.load_state_dict(load_file(f'{TINY}/weights.safetensors'))
    tensors = load_file(f'{TINY}/batches.safetensors')
    batch = lambda i: {k.split('.', 1)[1]: v.double() if v.is_floating_point() else v for k, v in tensors.items() if k.startswith(f'{i}.')}
    norms = {f'{n}.{p}' for n, m in model.named_modules() if isinstance(m, torch.nn.LayerNorm) for p in ('weight', 'bias')}
    layers, at, stages = encoder['n_layers'], 0, []
    os.makedirs(OUT, exist_ok=True)
    for number, stage in enumerate(STAGES):
        groups, rates = [], {}
        for name, p in model.named_parameters():
            p.requires_grad_(not any(matches(name, pattern) for pattern in stage['freeze']))
            if not p.requires_grad:
                continue
            depth = depth_of(name, layers)
            rate = SETTINGS['learning_rate'] if depth is None else SETTINGS['encoder_learning_rate'] * stage['layer_decay'] ** (layers + 1 - depth)
            decay = 0.0 if name.endswith('.bias') or name in norms else SETTINGS['weight_decay']
            rates[name] = [rate, decay]
            groups.append({'params': [p], 'lr': rate, 'weight_decay': decay})
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
        losses = []
        for _ in range(stage['steps']):
            total = 0.0
            for _ in range(SETTINGS['accumulate']):
                b = batch(at)
                at += 1
                loss = F.cross_entropy(model(b), b['labels']) / SETTINGS['accumulate']
                loss.backward()
                total += loss.item()
            torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS['max_grad_norm'])
            optimizer.step()
            model.zero_grad()
            losses.append(total)
        trained = {n: p.detach().float().contiguous().clone() for n, p in model.named_parameters() if p.requires_grad}
        save_file(trained, f'{OUT}/stage{number}.safetensors')
        stages.append(stage | {'losses': losses, 'rates': rates})
        print(f'stage {number}: {len(trained)} tensors trained, losses {losses}')
    json.dump(SETTINGS | {'stages': stages, 'torch': torch.__version__}, open(f'{OUT}/case.json', 'w'), indent=1)


main()
