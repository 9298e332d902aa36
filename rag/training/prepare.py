"""From sets to one file of token ids: sampling, and questions that have no answer."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.encoders import load_encoder
from rag.reader.pairs import Pair, make_pair
from rag.training.augment import as_typed, gibberish, names_in, near_miss, other_passage
from rag.training.sets import SETS, Example, natural, overlaps

WRITTEN = Path(__file__).parent  # natural sets that are kept with the code
VALIDATION = "natural-train/e"  # the set whose examples are only measured on
MAX_TOKENS = 288
_NEAR_MISSES = 0.3  # share of the answerable questions
_GIBBERISH = 60  # of each natural set
_NEAREST = 5  # passages that a wrong one is taken from
_ELSEWHERE = 0.3  # share of the answerable questions that are also put to the passages of another set


class Prepared(NamedTuple):
    """Examples as arrays; example i has the tokens `ids[offsets[i]:offsets[i + 1]]`.

    `first` is the token where the title begins, `text_first` that where the passage begins. `start` and `end` are the
    answer's first and last token, 0 for none, -1 for unknown. `answerable` and `label` are as in `Example`. `natural`
    marks our own natural questions and claims, `validation` held-out ones.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    first: NDArray[np.int16]
    text_first: NDArray[np.int16]
    start: NDArray[np.int16]
    end: NDArray[np.int16]
    answerable: NDArray[np.int8]
    label: NDArray[np.int8]
    natural: NDArray[np.bool_]
    validation: NDArray[np.bool_]


def collect(data: Path, seed: int = 0) -> Iterator[tuple[Example, bool]]:
    """Every example to learn from or, where the second is true, to measure on."""
    rng = random.Random(seed)
    left_out = overlaps(data)
    before: list[Example] = []  # of the natural set before
    for folder, read, cap in SETS:
        beginnings = left_out.get(folder.partition("/")[2], ())
        source = data / folder if (data / folder).exists() else WRITTEN / folder
        own = [one for one in read(source) if not (beginnings and one.text.startswith(beginnings))]
        own = rng.sample(own, min(cap, len(own)))
        asked = own if read is natural else rng.sample(own, len(own) // 3)
        more = [*_near_misses(asked, rng), *wrong_passages(asked, own, rng)]
        if read is natural and folder != VALIDATION:
            more += gibberish(own, _GIBBERISH, rng)
            more += wrong_passages([one for one in own if rng.random() < _ELSEWHERE], before, rng)
            more += [as_typed(one, rng) for one in own if one.answerable >= 0]
            before = own
        yield from ((one, folder == VALIDATION) for one in [*own, *more])


def _near_misses(examples: Sequence[Example], rng: random.Random) -> Iterator[Example]:
    names = names_in(examples)
    for one in examples:
        if one.answerable == 1 and rng.random() < _NEAR_MISSES:
            found = near_miss(one, names, rng)
            if found:
                yield found


def wrong_passages(questions: Sequence[Example], of: Sequence[Example], rng: random.Random) -> list[Example]:
    """Each answerable question with a passage that is among the nearest to it and that does not hold its answer.

    These are what the reader has to tell from the right one. Where the passages are `of` another set, the question is
    about something else than the articles.
    """
    asked = [one for one in questions if one.answerable == 1]
    if not asked or not of:
        return []
    encoder = load_encoder("embedded")
    passages = list({(one.title, one.passage): one for one in of}.values())
    vectors = encoder.encode_passages([f"{one.title}\n{one.passage}" for one in passages])
    cosines = encoder.encode_queries([one.text for one in asked]) @ vectors.T
    nearest = np.argsort(-cosines, axis=1)[:, :_NEAREST]
    found = (other_passage(one, [passages[i] for i in row], rng) for one, row in zip(asked, nearest, strict=True))
    return [one for one in found if one]


def prepare(examples: Iterable[tuple[Example, bool]], tokenizer: Tokenizer) -> Prepared:
    """The examples as arrays; one whose answer is beyond the last token is left out."""
    rows: list[tuple[Any, ...]] = []
    for one, held_out in examples:
        pair = make_pair(tokenizer, one.text, one.title, one.passage, MAX_TOKENS)
        span = _answer_tokens(pair, one)
        if span:
            rows.append(
                (pair.ids, pair.first, pair.text_first, *span, one.answerable, one.label, one.natural, held_out)
            )
    ids, *columns = zip(*rows, strict=True)
    types = (np.int16,) * 4 + (np.int8,) * 2 + (np.bool_,) * 2
    return Prepared(
        np.array(list(chain.from_iterable(ids)), np.int32),
        np.cumsum([0, *map(len, ids)]),
        *(np.array(column, dtype) for column, dtype in zip(columns, types, strict=True)),
    )


def _answer_tokens(pair: Pair, example: Example) -> tuple[int, int] | None:
    """The first and last token of the answer as in `Prepared`; None where it is cut off."""
    if example.start < 0:
        return (0, 0) if example.answerable == 0 else (-1, -1)
    covered = [i for i, (a, b) in enumerate(pair.offsets) if a < example.end and b > example.start]
    if not covered or pair.offsets[covered[-1]][1] < example.end:
        return None
    return pair.text_first + covered[0], pair.text_first + covered[-1]
