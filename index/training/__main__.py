"""`python -m index.training`: from translation pairs to the data of the package."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import IndexProblem, SettingsMismatch
from index.training import corpus, export, vocabulary
from index.training.corpus import Corpus, Ragged
from index.training.features import feature_matrix
from index.training.pairs import SOURCES, Kind
from index.training.train import Recipe, train

_SHARES = (0.35, 0.45, 0.1, 0.1)  # of the characters: passage sentences, sentences, headwords, names
_CHARS_A_LANGUAGE = 4_500_000  # of the text that pieces are chosen on
_TEXTS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Work:
    """Files of a run; a stage whose file is there is done."""

    folder: Path

    @property
    def pieces(self) -> Path:
        return self.folder / "pieces.json"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.npz"

    @property
    def vectors(self) -> Path:
        return self.folder / "vectors.npz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train by the command line; returns the exit status."""
    defaults = Recipe()
    parser = argparse.ArgumentParser(
        prog="python -m index.training",
        description="Train the embedded encoder: read pairs, choose pieces, train, write int8 rows. "
        "Each stage leaves its result in the work folder, and training a checkpoint: a later run goes on there.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel/ and qp/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the encoder to")
    parser.add_argument("--work", type=Path, required=True, help="folder for what lies between the stages")
    parser.add_argument("--keep-out", type=Path, help="folder of evaluation sets, whose text is left out of training")
    parser.add_argument("--pieces", type=int, default=106_000, help="pieces of the vocabulary")
    parser.add_argument("--steps", type=int, default=defaults.steps, help="steps of training")
    parser.add_argument("--pairs", type=int, default=defaults.pairs, help="translation pairs a step")
    parser.add_argument("--dim", type=int, default=defaults.dim, help="dimensions of the vectors")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="seed of all that is drawn")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes and threads")
    given = parser.parse_args(arguments)
    recipe = Recipe(steps=given.steps, pairs=given.pairs, dim=given.dim, seed=given.seed)
    try:
        run(given.data, given.keep_out, given.out, Work(given.work), given.pieces, recipe, given.workers)
    except IndexProblem as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    return 0


def run(data: Path, keep_out: Path | None, out: Path, work: Work, n_pieces: int, recipe: Recipe, workers: int) -> None:
    """All stages that are not done yet.

    Raises:
        ReadError: Something of the data is missing.
        SettingsMismatch: The work folder holds a run with other settings.
    """
    import torch

    torch.set_num_threads(workers)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    work.folder.mkdir(parents=True, exist_ok=True)
    _claim(work, {"pieces": n_pieces, "keep_out": keep_out is not None, **asdict(recipe)})
    if not (work.folder / "corpus.npz").is_file():
        _say("reading pairs")
        report = corpus.build(data, work.folder, workers, keep_out)
        _write_json(work.folder / "corpus.json", report)
        n_shared = sum(faults[corpus.SHARED] for faults in report["dropped"].values())
        _say(f"left out {n_shared:,} pairs and passages that share text with evaluation sets")
        _say(f"{report['pairs']:,} pairs and {report['topics']:,} passages over {report['texts']:,} texts")
    data_set = corpus.load(work.folder)
    tokenizer = _vocabulary(work, data_set, n_pieces, recipe.seed, workers)
    tokens = _tokens(work, tokenizer)
    names = [piece for piece, _ in json.loads(tokenizer.to_str())["model"]["vocab"]]
    if not work.vectors.is_file():
        features = feature_matrix(names)
        _say(
            f"training {features.shape[0]:,} pieces with {features.shape[1] - features.shape[0]:,} n-grams on {device}"
        )
        vectors = train(data_set, tokens, features, recipe, work.folder, device, _say)
        corpus.save_arrays(work.vectors, vectors=vectors)
    extended, rows = vocabulary.with_traditional(tokenizer)
    with np.load(work.vectors) as stored:
        export.write(out, stored["vectors"], extended, rows, data_set.languages)
    _say(f"wrote {out}")


def _claim(work: Work, settings: dict[str, Any]) -> None:
    """Note the settings of a run in its folder, so that another one neither reuses nor overwrites its stages."""
    path = work.folder / "settings.json"
    if not path.is_file():
        _write_json(path, settings)
        return
    found = json.loads(path.read_text("utf-8"))
    if found != settings:
        differing = sorted(name for name in {*found, *settings} if found.get(name) != settings.get(name))
        raise SettingsMismatch(
            f"{work.folder} holds a run with " + ", ".join(f"{name} {found.get(name)}" for name in differing),
            ", ".join(f"{name} {settings.get(name)}" for name in differing),
            "give another --work folder, or the settings of that run",
        )


def _vocabulary(work: Work, data_set: Corpus, n_pieces: int, seed: int, threads: int) -> Any:
    from tokenizers import Tokenizer

    if not work.pieces.is_file():
        _say(f"choosing {n_pieces:,} pieces")
        texts = list(corpus.read_texts(work.folder))
        tokenizer = vocabulary.train(_samples(data_set, texts, seed), n_pieces, threads)
        unfinished = work.pieces.with_name("unfinished-pieces.json")
        vocabulary.save(tokenizer, unfinished)
        unfinished.replace(work.pieces)
    return Tokenizer.from_file(str(work.pieces))


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


def _tokens(work: Work, tokenizer: Any) -> Ragged:
    if not work.tokens.is_file():
        _say("tokenising")
        unknown = tokenizer.token_to_id(vocabulary.UNKNOWN)
        values: list[NDArray[np.int32]] = []
        sizes: list[int] = []
        every = corpus.read_texts(work.folder)
        while texts := list(islice(every, _TEXTS_AT_ONCE)):
            for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
                ids = np.array([i for i in encoding.ids if i != unknown], np.int32)
                values.append(ids)
                sizes.append(len(ids))
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        corpus.save_arrays(work.tokens, values=np.concatenate(values), offsets=offsets)
    with np.load(work.tokens) as data:
        return Ragged(data["values"], data["offsets"])


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
