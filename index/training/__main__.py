"""`python -m index.training`: from translation pairs to the data of the package."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import IndexProblem
from index.training import corpus, export, vocabulary
from index.training.corpus import Corpus, Ragged
from index.training.features import feature_matrix
from index.training.pairs import SOURCES, Kind
from index.training.train import Recipe, train

_SHARES = (0.35, 0.45, 0.1, 0.1)  # of the characters: passage sentences, sentences, headwords, names
_CHARS_A_LANGUAGE = 4_500_000  # of the text that pieces are chosen on
_TEXTS_AT_ONCE = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Train by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m index.training",
        description="Train the embedded encoder: read pairs, choose pieces, train, write int8 rows. Pairs, pieces and "
        "a checkpoint stay in the work folder: a later run continues. A changed recipe needs another folder.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel/ and qp/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the encoder to")
    parser.add_argument("--work", type=Path, required=True, help="folder for what lies between the stages")
    parser.add_argument("--keep-out", type=Path, help="folder of evaluation sets, whose text is left out of training")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes and threads")
    given = parser.parse_args(arguments)
    try:
        run(given.data, given.keep_out, given.out, given.work, Recipe(), given.workers)
    except IndexProblem as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    return 0


def run(data: Path, keep_out: Path | None, out: Path, work: Path, recipe: Recipe, workers: int) -> None:
    """All stages that are not done yet.

    Raises:
        ReadError: Something of the data is missing.
    """
    import torch

    torch.set_num_threads(workers)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "corpus.npz").is_file():
        _say("reading pairs")
        _say(", ".join(f"{n:,} {name}" for name, n in corpus.build(data, work, workers, keep_out).items()))
    data_set = corpus.load(work)
    tokenizer = _vocabulary(work, data_set, recipe, workers)
    tokens = _tokens(work, tokenizer)
    features = feature_matrix([piece for piece, _ in json.loads(tokenizer.to_str())["model"]["vocab"]])
    _say(f"training on {device}: {features.shape[0]:,} pieces, {features.shape[1]:,} rows")
    vectors = train(data_set, tokens, features, recipe, work, device, _say)
    extended, rows = vocabulary.with_traditional(tokenizer)
    export.write(out, vectors, extended, rows, data_set.languages)
    _say(f"wrote {out}")


def _vocabulary(work: Path, data_set: Corpus, recipe: Recipe, threads: int) -> Any:
    from tokenizers import Tokenizer

    path = work / "pieces.json"
    if not path.is_file():
        _say(f"choosing {recipe.pieces:,} pieces")
        texts = list(corpus.read_texts(work))
        tokenizer = vocabulary.train(_samples(data_set, texts, recipe.seed), recipe.pieces, threads)
        unfinished = path.with_name("unfinished-pieces.json")
        vocabulary.save(tokenizer, unfinished)
        unfinished.replace(path)
    return Tokenizer.from_file(str(path))


def _samples(data_set: Corpus, texts: Sequence[str], seed: int) -> Iterator[str]:
    """Texts of each language in equal amount: of passages, running sentences, headwords and names, by `_SHARES`."""
    rng = np.random.default_rng(seed)
    kinds = np.array([SOURCES[name].kind for name in corpus.SOURCE_NAMES])[data_set.source]
    running = (kinds == Kind.SENTENCES) | (kinds == Kind.INTERFACE)
    for number, language in enumerate(data_set.languages):
        own = np.ones(len(running), bool) if language == "en" else data_set.language == number
        column = data_set.english if language == "en" else data_set.other
        topics = [data_set.sentences[int(i)] for i in np.flatnonzero(data_set.topic_language == number)]
        pools = [
            np.unique(np.concatenate([np.zeros(0, np.int32), *topics])),
            *(np.unique(column[own & of]) for of in (running, kinds == Kind.DICTIONARY, kinds == Kind.NAMES)),
        ]
        for pool, share in zip(pools, _SHARES, strict=True):
            shuffled = (texts[int(row)] for row in rng.permutation(pool))
            yield from vocabulary.at_most(shuffled, int(_CHARS_A_LANGUAGE * share))


def _tokens(work: Path, tokenizer: Any) -> Ragged:
    _say("tokenising")
    unknown = tokenizer.token_to_id(vocabulary.UNKNOWN)
    every, rows = corpus.read_texts(work), []
    while texts := list(islice(every, _TEXTS_AT_ONCE)):
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        rows += [np.array([i for i in one.ids if i != unknown], np.int32) for one in encoded]
    return Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
