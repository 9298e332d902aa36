"""The reader as a torch module: the base model's layers, and three heads over one pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel


class Scores(NamedTuple):
    """Scores of a batch, all as logits.

    `span` is (n, n_tokens, 2), for start and end: position 0 stands for "no answer". `answerable` is (n,). `label` is
    (n, 3): supported, contradicted, not mentioned.
    """

    span: Tensor
    answerable: Tensor
    label: Tensor


class ReaderModel(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Reads pairs of a question or claim and a passage.

    The embeddings are frozen: they are most of the weights, and rare words would drift apart from frequent ones.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.embeddings.requires_grad_(False)
        self.span = nn.Linear(hidden, 2)
        self.answerable = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.label = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 3))

    def words(self, ids: Tensor) -> Tensor:
        """The vectors of tokens, (n, n_tokens, dim)."""
        vectors: Tensor = self.bert.embeddings.word_embeddings(ids)
        return vectors

    def states(self, words: Tensor, mask: Tensor) -> Tensor:
        """States of the last layer, (n, n_tokens, dim), of word vectors; `mask` (n, n_tokens) is 1 where a token is."""
        # With a mask of four dimensions, the model adds no operations of its own that ONNX does not have.
        bias = (1 - mask[:, None, None, :].to(words.dtype)) * -1e4
        states: Tensor = self.bert(inputs_embeds=words, attention_mask=bias).last_hidden_state
        return states

    def forward(self, words: Tensor, mask: Tensor, in_passage: Tensor) -> Scores:
        """Scores of a batch; `mask` and `in_passage` are (n, n_tokens), 1 where it holds."""
        states = self.states(words, mask)
        weights = in_passage[:, :, None].to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        pooled = torch.cat([states[:, 0], mean], dim=1)
        return Scores(self.span(states), self.answerable(pooled)[:, 0], self.label(pooled))

    def trained_state(self) -> dict[str, Tensor]:
        """The weights that training changes, by name."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("bert.embeddings.")}
