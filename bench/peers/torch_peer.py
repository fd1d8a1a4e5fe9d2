"""The benchmark's work in PyTorch, as the notebook would write it: padded batches with a mask, dense AdamW.

Reads one JSON request a line on standard input and answers each with one JSON line (bench/compare/peer.ts).
"""
import json
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def fnv1a(name):
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def hashed(name, size, scale, center=0.0):
    """murmur3's finalizer over the flat index, 24 high bits: the same numbers as `hashed` in TypeScript."""
    mask = 0xFFFFFFFF
    seed = fnv1a(name)
    out = torch.empty(size)
    for start in range(0, size, 1 << 22):
        end = min(start + (1 << 22), size)
        x = (torch.arange(start, end, dtype=torch.int64) * 0x9E3779B9 + seed) & mask
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) & mask
        x = ((x ^ (x >> 13)) * (0xC2B2AE35 - (1 << 32))) & mask
        x = x ^ (x >> 16)
        out[start:end] = center + ((2 * ((x >> 8).double() / 2**24) - 1) * scale).float()
    return out


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q_lin, self.k_lin = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.v_lin, self.out_lin = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x, mask):
        B, S, H = x.shape
        q, k, v = (
            lin(x).view(B, S, self.heads, H // self.heads).transpose(1, 2)
            for lin in (self.q_lin, self.k_lin, self.v_lin)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_lin(y.transpose(1, 2).reshape(B, S, H))


class FeedForward(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        return self.lin2(F.gelu(self.lin1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.attention = Attention(dim, heads)
        self.sa_layer_norm = nn.LayerNorm(dim, eps=1e-12)
        self.ffn = FeedForward(dim, hidden)
        self.output_layer_norm = nn.LayerNorm(dim, eps=1e-12)

    def forward(self, x, mask):
        x = self.sa_layer_norm(self.attention(x, mask) + x)
        return self.output_layer_norm(self.ffn(x) + x)


class Model(nn.Module):
    def __init__(self, work):
        super().__init__()
        dim = work["dim"]
        embeddings = nn.Module()
        embeddings.word_embeddings = nn.Embedding(work["vocab"], dim, padding_idx=work["pad"])
        embeddings.position_embeddings = nn.Embedding(work["positions"], dim)
        embeddings.LayerNorm = nn.LayerNorm(dim, eps=1e-12)
        self.bert = nn.Module()
        self.bert.embeddings = embeddings
        self.bert.transformer = nn.Module()
        self.bert.transformer.layer = nn.ModuleList(
            Block(dim, work["heads"], work["hidden"]) for _ in range(work["layers"])
        )
        self.names = [t["name"] for t in work["tables"]]
        self.categorical_embeddings = nn.ModuleDict(
            {f"{t['name']}_embedding": nn.Embedding(t["rows"], t["width"]) for t in work["tables"]}
        )
        width = dim + sum(t["width"] for t in work["tables"]) + len(work["numerical"])
        layers = []
        for size in work["mlp"]:
            layers += [nn.Linear(width, size), nn.LayerNorm(size), nn.ReLU()]
            width = size
        self.mlp = nn.Sequential(*layers)
        self.head = nn.Linear(width, work["classes"])

    def logits(self, batch):
        e = self.bert.embeddings
        ids, mask = batch["ids"], batch["mask"]
        x = e.LayerNorm(e.word_embeddings(ids) + e.position_embeddings.weight[: ids.shape[1]])
        keys = mask[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
        for block in self.bert.transformer.layer:
            x = block(x, keys)
        kept = mask.unsqueeze(-1).float()
        text = (x * kept).sum(1) / kept.sum(1)
        parts = [text]
        parts += [self.categorical_embeddings[f"{n}_embedding"](batch["categorical"][n]) for n in self.names]
        parts += [column.unsqueeze(1) for column in batch["numerical"].values()]
        return self.head(self.mlp(torch.cat(parts, 1)))

    def forward(self, batch):
        return F.cross_entropy(self.logits(batch), batch["labels"])

    @torch.no_grad()
    def fill(self, work):
        for name, p in self.named_parameters():
            p.copy_(hashed(name, p.numel(), work["scale"], work["centers"].get(name, 0)).view(p.shape))
        self.bert.embeddings.word_embeddings.weight[work["pad"]] = 0


def batch_of(work, raw):
    ids = torch.tensor(raw["inputIds"])
    return {
        "ids": ids,
        "mask": ids != work["pad"],
        "categorical": {n: torch.tensor(v) for n, v in raw["categorical"].items()},
        "numerical": {n: torch.tensor(v, dtype=torch.float32) for n, v in raw["numerical"].items()},
        "labels": torch.tensor(raw["labels"]),
    }


class Training:
    def __init__(self, work):
        self.model = Model(work)
        groups = ([], [])
        self.model.fill(work)
        for name, p in self.model.named_parameters():
            groups[0 if "bert." in name else 1].append(p)
        self.optimizer = torch.optim.AdamW(
            [{"params": groups[0], "lr": work["lr"][0]}, {"params": groups[1], "lr": work["lr"][1]}],
            weight_decay=work["weightDecay"],
            eps=work.get("eps", 1e-8),
        )
        self.clip = work["clip"]
        self.batches = [batch_of(work, raw) for raw in work["batches"]]
        self.next = 0

    def run(self, count):
        losses = []
        for _ in range(count):
            self.optimizer.zero_grad()
            loss = self.model(self.batches[self.next])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            losses.append(loss.detach())
            self.next += 1
        return {"losses": [loss.item() for loss in losses]}


class Scoring:
    """Rows one by one, as a request would have them: values in, a probability out."""

    def __init__(self, work):
        self.work, self.model = work, Model(work)
        self.model.fill(work)
        self.model.eval()
        self.next = 0

    @torch.no_grad()
    def run(self, count):
        times, scores = [], []
        rows = self.work["batches"]
        for _ in range(count):
            started = time.perf_counter()
            batch = batch_of(self.work, rows[self.next % len(rows)])
            scores.append(torch.softmax(self.model.logits(batch), 1)[0, 1].item())
            times.append((time.perf_counter() - started) * 1000)
            self.next += 1
        return {"times": times, "values": scores}


def operator(op):
    inputs = [hashed(i["name"], math.prod(i["shape"]), i["scale"]).view(i["shape"]) for i in op["inputs"]]
    name = op["name"]
    if name == "matmul":
        a, b = inputs
        return lambda: torch.mm(a, b.T)
    if name == "layernorm":
        x, weight, bias = inputs
        return lambda: F.layer_norm(x, (x.shape[-1],), weight, bias, 1e-12)
    if name == "attention":
        q, k, v = inputs
        return lambda: F.scaled_dot_product_attention(q, k, v)
    if name == "gelu":
        (x,) = inputs
        return lambda: F.gelu(x)
    if name == "gather":
        (table,) = inputs
        ids = torch.tensor(op["ids"])
        return lambda: F.embedding(ids, table)
    raise ValueError(f"no operator {name}")


class Operator:
    def __init__(self, op):
        self.forward = operator(op)
        self.sample = torch.tensor(op["sample"])

    @torch.no_grad()
    def run(self, count):
        for _ in range(count):
            self.result = self.forward()
        return {}

    def values(self):
        return self.result.flatten()[self.sample].tolist()


def main():
    job = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            kind = request["do"]
            answer = {}
            if kind == "open":
                torch.set_num_threads(request["threads"])
                if request.get("float64"):
                    torch.set_default_dtype(torch.float64)
                answer = {"version": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"}
            elif kind == "train":
                job = Training(request["work"])
            elif kind == "score":
                job = Scoring(request["work"])
            elif kind == "operator":
                job = Operator(request["work"])
            elif kind == "run":
                started = time.perf_counter()
                answer = job.run(request["count"])
                answer["ms"] = (time.perf_counter() - started) * 1000
            elif kind == "values":
                answer = {"values": job.values()}
            elif kind == "end":
                job = None
        except Exception as error:  # the benchmark prints it as this peer's line
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
