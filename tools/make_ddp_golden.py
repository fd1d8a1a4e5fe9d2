"""Frozen losses of DistributedDataParallel over two processes (gloo): test/golden/trainer/ddp.json.

    python tools/make_ddp_golden.py

The model and rows of test/golden/trainer, rows in file order, three epochs; each micro-batch of 8 rows is shared by the ranks, consecutive
rows each. DistributedDataParallel averages gradients over ranks: a loss counts by its rank's rows, so that the last batch, of 5, is the mean over its rows.
Needs torch, transformers, safetensors and pyarrow.
"""
import json
import math
import os
import torch
import pyarrow.parquet as pq
from safetensors.torch import load_file
from torch.nn.parallel import DistributedDataParallel
from notebook_model import TextTabular

FOLDER = 'test/golden/trainer'
RANKS, BATCH, EPOCHS = 2, 8, 3
SETTINGS = {'learning_rate': 1e-3, 'encoder_learning_rate': 2e-4, 'max_grad_norm': 0.5}
TEXTS = ['tokenized_title', 'tokenized_query']


def batch_of(rows, pad):
    texts = [sum((row[name] for name in TEXTS), []) for row in rows]
    longest = max(len(text) for text in texts)
    ids = torch.tensor([text + [pad] * (longest - len(text)) for text in texts])
    batch = {name: torch.tensor([row[name] for row in rows]) for name in rows[0] if name not in TEXTS}
    return {**batch, 'input_ids': ids, 'attention_mask': (ids != pad).long()}


def train(rank, out):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT='29512')
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=RANKS)
    config = json.load(open(f'{FOLDER}/case.json'))['config']
    bert = {**config['bert'], 'dropout': 0, 'attention_dropout': 0}
    model = TextTabular({'features_config': config['features'], 'pretrained_model_config': bert,
                         'mlp_config': config['mlp'], 'num_labels': config['num_labels']})
    model.load_state_dict(load_file(f'{FOLDER}/weights.safetensors'))
    shared = DistributedDataParallel(model.train())
    encoder = list(model.bert.parameters())
    others = [p for name, p in model.named_parameters() if not name.startswith('bert.')]
    optimizer = torch.optim.AdamW([{'params': encoder, 'lr': SETTINGS['encoder_learning_rate']},
                                   {'params': others, 'lr': SETTINGS['learning_rate']}], weight_decay=0)
    rows = pq.read_table(f'{FOLDER}/train.parquet').to_pylist()
    losses = []
    for _ in range(EPOCHS):
        for start in range(0, len(rows), BATCH):
            whole = rows[start:start + BATCH]
            at = [math.ceil(r * len(whole) / RANKS) for r in range(RANKS + 1)]
            own = whole[at[rank]:at[rank + 1]]
            batch = batch_of(own, bert['pad_token_id'])
            loss = torch.nn.functional.cross_entropy(shared(batch), batch['label'])
            optimizer.zero_grad()
            (loss * len(own) * RANKS / len(whole)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS['max_grad_norm'])
            optimizer.step()
            losses.append(loss.item())
    torch.save(losses, f'{out}.{rank}')
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    out = '/tmp/kernelgrad-ddp'
    torch.multiprocessing.spawn(train, (out,), RANKS)
    losses = [[float(f'{loss:.8g}') for loss in torch.load(f'{out}.{rank}')] for rank in range(RANKS)]
    case = {'ranks': RANKS, 'batch': BATCH, 'epochs': EPOCHS, **SETTINGS, 'losses': losses}
    with open(f'{FOLDER}/ddp.json', 'w') as file:
        file.write(json.dumps(case) + '\n')
    print(len(losses[0]), losses[0][:3], losses[1][:3], losses[0][-3:])
