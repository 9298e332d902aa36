"""Pairs of a question or claim and a passage as token ids; training and reading share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # the first four pieces, in this order
_BOS, _PAD, _EOS, _ = range(len(SPECIAL))
_MAX_QUESTION_TOKENS = 64
_MAX_TITLE_TOKENS = 24


class Pair(NamedTuple):
    """A pair as the model reads it: `<s> question </s> title </s> passage </s>`.

    `first` is the token where the title begins, `text_first` that where the passage begins; `offsets` are the
    (start, end) of the passage's tokens, in code points of the passage.
    """

    ids: list[int]
    first: int
    text_first: int
    offsets: list[tuple[int, int]]


class Batch(NamedTuple):
    """Pairs padded to the longest: ids, 1 where a token is, 1 where it is of title or passage; all (n, n_tokens)."""

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    in_passage: NDArray[np.int64]


def make_pair(tokenizer: Tokenizer, question: str, title: str, passage: str, max_tokens: int) -> Pair:
    """The tokens of a pair, cut at `max_tokens`."""
    asked = tokenizer.encode(question, add_special_tokens=False).ids[:_MAX_QUESTION_TOKENS]
    named = tokenizer.encode(title, add_special_tokens=False).ids[:_MAX_TITLE_TOKENS] if title else []
    read = tokenizer.encode(passage, add_special_tokens=False)
    head = [_BOS, *asked, _EOS, *named, _EOS]
    room = max_tokens - len(head) - 1
    return Pair([*head, *read.ids[:room], _EOS], len(asked) + 2, len(head), read.offsets[:room])


def padded(pairs: Sequence[tuple[Sequence[int] | NDArray[np.int32], int]]) -> Batch:
    """A batch of (ids, first token of the title)."""
    lengths = np.array([len(ids) for ids, _ in pairs])
    first = np.array([begin for _, begin in pairs])
    places = np.arange(lengths.max())[None, :]
    ids = np.full((len(pairs), lengths.max()), _PAD, dtype=np.int64)
    for row, (own, _) in zip(ids, pairs, strict=True):
        row[: len(own)] = own
    inside = (places >= first[:, None]) & (places < lengths[:, None] - 1)
    return Batch(ids, (places < lengths[:, None]).astype(np.int64), inside.astype(np.int64))
