"""The click models in PyTorch, built from the config.json of a folder that kernelgrad saved; weights load by name.

    pip install torch transformers safetensors
"""
import torch
from torch import nn
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel


def encoder_of(settings):
    """DistilBERT, or BERT where `model_type` says so."""
    settings = dict(settings)
    kind = settings.pop('model_type', 'distilbert')
    pooling = settings.pop('add_pooling_layer', True)
    if kind == 'bert':
        return BertModel(BertConfig(attn_implementation='eager', **settings), add_pooling_layer=pooling)
    return DistilBertModel(DistilBertConfig(attn_implementation='eager', **settings))


def mean_pool(hidden, mask):
    """A row without any kept token pools to zero."""
    kept = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * kept).sum(1) / kept.sum(1).clamp(min=1)


class TextTabular(nn.Module):
    """Mean-pooled encoder, categorical embeddings, numerical values, MLP, head."""

    def __init__(self, config):
        super().__init__()
        if config.get('fusion'):
            raise ValueError(f"fusion is {config['fusion']}: only models that concatenate text and table are built here")
        self.features = config['features_config']
        self.bert = encoder_of(config['pretrained_model_config'])
        width, tables = self.bert.config.hidden_size, {}
        for name, feature in self.features.items():
            if feature['dtype'] == 'categorical':
                owner = feature.get('share_embedding') or name
                size = self.features[owner].get('embedding_size') or feature.get('embedding_size')
                if owner == name:
                    tables[f'{name}_embedding'] = nn.Embedding(feature['vocab_size'], size)
                width += size
            elif feature['dtype'] == 'numerical':
                width += 1
        self.categorical_embeddings = nn.ModuleDict(tables)
        layers = []
        for layer in config['mlp_config'] or []:
            layers.append(nn.Linear(width, layer['hidden_size']))
            width = layer['hidden_size']
            if layer.get('normalization_function'):
                layers.append(nn.LayerNorm(width, eps=(layer.get('normalization_function_kwargs') or {}).get('eps', 1e-5)))
            if layer.get('activation_function'):
                layers.append(getattr(nn, layer['activation_function'])())
            if layer.get('dropout_p'):
                layers.append(nn.Dropout(layer['dropout_p']))
        self.mlp = nn.Sequential(*layers)
        self.head = nn.Linear(width, config['num_labels'])

    def forward(self, batch):
        mask = batch['attention_mask']
        parts = [mean_pool(self.bert(batch['input_ids'], mask).last_hidden_state, mask)]
        for name, feature in self.features.items():
            if feature['dtype'] == 'categorical':
                owner = feature.get('share_embedding') or name
                parts.append(self.categorical_embeddings[f'{owner}_embedding'](batch[name].long()))
        for name, feature in self.features.items():
            if feature['dtype'] == 'numerical':
                parts.append(batch[name].to(parts[0].dtype).unsqueeze(1))
        return self.head(self.mlp(torch.cat(parts, -1)))


class TextOnly(nn.Module):
    """The text-only baseline: transformers' own class, its parameters under their own names."""

    def __init__(self, config):
        super().__init__()
        settings = config['pretrained_model_config']
        self.model = DistilBertForSequenceClassification(
            DistilBertConfig(num_labels=config['num_labels'], attn_implementation='eager', **settings))

    def load_state_dict(self, state, **options):
        return self.model.load_state_dict(state, **options)

    def forward(self, batch):
        return self.model(batch['input_ids'], batch['attention_mask']).logits


def build(config):
    """The model of a config.json, in evaluation mode."""
    text_only = config.get('architecture') == 'DistilBertForSequenceClassification'
    return (TextOnly if text_only else TextTabular)(config).eval()
