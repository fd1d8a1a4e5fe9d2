"""A model that kernelgrad saved, opened in PyTorch: do its weights load by name, and are its logits the same?

    node tools/save-logits.mjs MODEL_FOLDER DATA.parquet batch.safetensors
    python tools/check_in_pytorch.py MODEL_FOLDER batch.safetensors

MODEL_FOLDER is what `kernelgrad train` wrote, or one of its checkpoints. The model is tools/notebook_model.py's: DistilBERT or BERT
from transformers with the tabular part, or transformers' own DistilBertForSequenceClassification. It computes in float64. Prints
the largest difference of a logit; exits 1 where that is more than 1e-5 of the largest logit, or where a name or shape does not
fit. Needs torch, transformers and safetensors.
"""
import json
import os
import sys
import torch
from safetensors.torch import load_file
from notebook_model import TextOnly, build

BOUND = 1e-5


def main(folder, batch_path):
    config = json.load(open(os.path.join(folder, 'config.json')))
    weights = load_file(os.path.join(folder, 'model.safetensors'))
    model = build(config)
    model.load_state_dict(weights, strict=True)
    values = sum(w.numel() for w in weights.values())
    print(f'{folder}: {len(weights)} tensors, {values:,} values, loaded into {type(model).__name__} by name')
    saved = load_file(batch_path)
    batch = {name.removeprefix('feature.'): tensor for name, tensor in saved.items()}
    with torch.no_grad():
        ours, theirs = batch.pop('logits').double(), model.double()(batch)
    if isinstance(model, TextOnly):
        # What a row without any token gives means nothing: there is nothing to attend to.
        kept = batch['attention_mask'].any(1)
        ours, theirs = ours[kept], theirs[kept]
    difference, largest = (ours - theirs).abs().max().item(), theirs.abs().max().item()
    print(f'{len(ours)} rows: largest difference {difference:.2e}, largest logit {largest:.3f}, relative {difference / largest:.1e}')
    return 0 if difference <= BOUND * largest else 1


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
