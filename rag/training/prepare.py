"""From sets to one file of token ids: sampling, negatives, a smaller vocabulary."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.encoders import load_encoder
from index.ingest import ingest
from index.search import search
from index.store import open_backend
from index.text.language import detect_language
from rag.reader.pairs import SPECIAL, make_pair
from rag.training.augment import as_typed, names_in, near_miss, not_asked, other_passage, translated_claims
from rag.training.base_model import BaseModel, unigram_tokenizer
from rag.training.sets import SETS, Example, overlaps

WRITTEN = Path(__file__).parent  # natural sets that are kept with the code
VALIDATION = "e"  # the natural set whose examples are only measured on
MAX_TOKENS = 288
N_PIECES = 80_000  # of 250,000: the embeddings are most of the size
_N_BY_SCORE = 20_000  # pieces that stay because they are frequent in the base model's own corpus
_OPENINGS = 6_000  # encyclopedic openings a language, for counting pieces
_TRANSLATED = 500  # claims a language
_NOT_ASKED = 150  # small talk and random letters, of each natural set
_FOUND = 5  # first passages of a search that a wrong one is taken from
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
        if folder.endswith(f"/{VALIDATION}"):
            yield from ((one, True) for one in [*own, *found_passages(own, own, rng), *_negatives(own, 0.3, rng)])
            continue
        own = rng.sample(own, cap) if len(own) > cap else own
        is_natural = folder.startswith("natural-train/")
        more = [*_negatives(own, 0.6 if is_natural else 0.35, rng)]
        if is_natural:
            more += [*found_passages(own, own, rng), *not_asked(own, _NOT_ASKED, rng)]
            if before:
                more += found_passages([one for one in own if rng.random() < _ELSEWHERE], before, rng)
            before = own
            more += [as_typed(one, rng) for one in own if one.answerable >= 0]
        yield from ((_varied(one, rng), False) for one in [*own, *more])
    yield from ((one, False) for one in translated_claims(data / "parallel", _TRANSLATED, rng))


def _negatives(examples: Sequence[Example], share: float, rng: random.Random) -> Iterator[Example]:
    """Questions with passages that do not answer them: near misses, and other passages of the same group."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for one in examples:
        groups[one.group].append(one)
    names = names_in(examples)
    for one in examples:
        if one.answerable == 1 and rng.random() < share:
            found = near_miss(one, names, rng) if rng.random() < 0.5 else None
            found = found or other_passage(one, rng.sample(groups[one.group], min(8, len(groups[one.group]))), rng)
            if found:
                yield found


def found_passages(questions: Sequence[Example], of: Sequence[Example], rng: random.Random) -> list[Example]:
    """Each answerable question with a passage that the search finds among the first and that does not hold its answer.

    These are what the reader has to tell from the right one. Where the passages are `of` another set, the question is
    about something else than the articles.
    """
    passages = {(one.title, one.passage): one for one in of}
    encoder = load_encoder("embedded")
    found: list[Example] = []
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            {"id": str(number), "title": one.title, "text": one.passage} for number, one in enumerate(passages.values())
        ]
        articles = Path(scratch) / "articles.jsonl"
        articles.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        ingest(Path(scratch) / "index", [str(articles)], encoder)
        backend = open_backend(Path(scratch) / "index")
        with backend.snapshot() as snapshot:
            for one in questions:
                if one.answerable == 1:
                    best = search(snapshot, encoder, one.text, _FOUND).passages
                    others = [Example("", scored.passage.text, scored.passage.title) for scored in best]
                    others = [other for other in others if other.passage[:80] not in one.passage]
                    found += filter(None, [other_passage(one, others, rng)])
        backend.close()
    return found


def _varied(example: Example, rng: random.Random) -> Example:
    """The example in Traditional characters or without its title, now and then."""
    if example.origin == "cmrc-train-pseudo-zh" and rng.random() < 0.5:
        example = _traditional(example)
    return replace(example, title="") if rng.random() < 0.2 else example


def _traditional(example: Example) -> Example:
    """The example in Traditional characters; characters are exchanged one by one, so that offsets stay."""
    from opencc import OpenCC

    table = OpenCC("s2t")

    def convert(text: str) -> str:
        return "".join(table.convert(char)[:1] or char for char in text)

    return replace(example, text=convert(example.text), passage=convert(example.passage), title=convert(example.title))


def kept_pieces(base: BaseModel, texts: Iterable[str]) -> list[int]:
    """The `N_PIECES` rows of the base vocabulary that stay: single characters and what `texts` need most."""
    tokenizer = unigram_tokenizer(base.pieces, base.scores.tolist())
    counts: Counter[int] = Counter()
    stream = iter(texts)
    while batch := list(islice(stream, 2_000)):
        for encoded in tokenizer.encode_batch(batch, add_special_tokens=False):
            counts.update(encoded.ids)
    n_special = len(SPECIAL)
    kept = set(range(n_special)) | {i for i, piece in enumerate(base.pieces) if len(piece.lstrip("▁")) <= 1}
    kept |= set(range(_N_BY_SCORE))
    for piece, _ in counts.most_common():
        if len(kept) >= N_PIECES:
            break
        kept.add(piece)
    return sorted(kept)


def openings(data: Path) -> Iterator[str]:
    """Encyclopedic texts in several languages, to count pieces in."""
    for path in sorted((data / "qp" / "wikipedia-openings").glob("*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as opened:
            content = json.load(opened)
        for text in list(content.values() if isinstance(content, dict) else content)[:_OPENINGS]:
            yield str(text)


def prepare(examples: Iterable[tuple[Example, bool]], tokenizer: Tokenizer) -> Prepared:
    """The examples as arrays; one whose answer is beyond the last token is left out."""
    ids: list[NDArray[np.int32]] = []
    rows: list[tuple[int, int, int, int, int, int, bool, bool]] = []
    for example, is_validation in examples:
        own = make_pair(tokenizer, example.text, example.title, example.passage, MAX_TOKENS)
        start, end = (0, 0) if example.answerable == 0 else (-1, -1)
        if example.start >= 0:
            covered = [i for i, (a, b) in enumerate(own.offsets) if a < example.end and b > example.start]
            if not covered or own.offsets[covered[-1]][1] < example.end:
                continue
            start, end = own.text_first + covered[0], own.text_first + covered[-1]
        ids.append(np.array(own.ids, dtype=np.int32))
        natural = example.origin.startswith("natural")
        rows.append((own.first, own.text_first, start, end, example.answerable, example.label, natural, is_validation))
    first, text_first, starts, ends, answerable, label, is_natural, validation = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in ids])]).astype(np.int64)
    return Prepared(
        np.concatenate(ids),
        offsets,
        first.astype(np.int16),
        text_first.astype(np.int16),
        starts.astype(np.int16),
        ends.astype(np.int16),
        answerable.astype(np.int8),
        label.astype(np.int8),
        is_natural.astype(bool),
        validation.astype(bool),
    )


def summary(examples: Sequence[tuple[Example, bool]]) -> list[str]:
    """Lines that say how many examples came from where, and in how many languages."""
    by_origin = Counter(one.origin for one, _ in examples)
    languages = {detect_language(one.text) for one, _ in examples[::50]}
    lines = [f"{origin:24}{n:7}" for origin, n in by_origin.most_common()]
    return [*lines, f"{'all':24}{len(examples):7}", f"question languages in a sample: {len(languages)}"]
