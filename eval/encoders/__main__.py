"""`python -m eval.encoders NAME... --data FOLDER`: encoders side by side."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from eval.encoders import retrieval, sets
from eval.encoders.retrieval import Found, Pair
from eval.encoders.speed import speed
from eval.errors import SetMissing
from index.encoders import Encoder, load_encoder
from index.errors import IndexProblem
from index.settings import Parts, SearchSettings

Row = tuple[str, Callable[[dict[str, Any]], str]]  # a label, and what it says of one encoder's figures

_BELEBELE = {"ko": "kor_Hang", "en": "eng_Latn"}
_FROM_ENGLISH = ("ko", "ja", "zh-Hant", "ar", "vi", "th", "hi", "tr", "ru")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.encoders",
        description="Measure what encoders find on their own: exact search, no lexical leg, no reranking.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("names", nargs="+", help="embedded, a folder, or a sentence-transformers model")
    parser.add_argument("--data", type=Path, required=True, help="folder with xquad, flores101-devtest, belebele-ko")
    parser.add_argument(
        "--parts", type=Parts, choices=list(Parts), default=Parts.SENTENCES, help="vectors of a passage"
    )
    parser.add_argument(
        "--tokens",
        type=float,
        default=SearchSettings().max_sim_weight,
        help="share of the word by word score, for encoders that have one",
    )
    parser.add_argument("--texts", type=Path, help="texts for the speed, one a line (by default FLORES's)")
    parser.add_argument("--json", type=Path, dest="json_path", help="also write every figure there")
    given = parser.parse_args(arguments)
    console = Console()
    try:
        figures = {name: measure(name, given.data, given.parts, given.tokens, given.texts) for name in given.names}
    except (SetMissing, IndexProblem) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    console.print(_summary(figures))
    for name, own in figures.items():
        console.print(f"\n{name}: recall@5 by language of questions (rows) and of passages")
        console.print(_matrix(own["xquad"]))
    if given.json_path is not None:
        plain = {name: _plain(own) for name, own in figures.items()}
        given.json_path.write_text(json.dumps(plain, indent=1) + "\n", "utf-8")
    return 0


def measure(name: str, data: Path, parts: Parts, tokens: float, speed_texts: Path | None = None) -> dict[str, Any]:
    """Every figure of one encoder.

    Raises:
        SetMissing: A set is not in `data`.
        IndexProblem: The encoder cannot be had.
    """
    encoder: Encoder = load_encoder(name)
    xquad = retrieval.passage_retrieval(encoder, sets.xquad(data / "xquad"), parts, tokens)
    belebele = retrieval.passage_retrieval(encoder, sets.belebele(data / "belebele-ko", _BELEBELE), parts, tokens)
    bitext = sets.flores(data / "flores101-devtest")
    flores = retrieval.translation_retrieval(encoder, bitext, ["en", *_FROM_ENGLISH])
    if speed_texts is None:
        translations = zip(*(bitext.sentences[language] for language in ("en", *_FROM_ENGLISH)), strict=True)
        texts = [text for own in translations for text in own]
    else:
        texts = speed_texts.read_text("utf-8").splitlines()
    return {"xquad": xquad, "belebele": belebele, "flores": flores, "speed": speed(name, texts)}


def _summary(figures: dict[str, dict[str, Any]]) -> Table:
    table = Table("", *figures, title="Encoders alone")
    for label, of in _ROWS:
        table.add_row(label, *(of(own) for own in figures.values()))
    return table


def _own(xquad: dict[Pair, Found]) -> list[Found]:
    return [value for (asked, held), value in xquad.items() if asked == held]


def _cross(xquad: dict[Pair, Found]) -> dict[Pair, Found]:
    return {pair: value for pair, value in xquad.items() if pair[0] != pair[1]}


def _mean(values: list[float]) -> str:
    return f"{np.mean(values):.3f}" if values else "-"


def _worst(xquad: dict[Pair, Found], side: int) -> str:
    cross = _cross(xquad)
    means = {
        language: float(np.mean([value.recall_5 for pair, value in cross.items() if pair[side] == language]))
        for language in {pair[side] for pair in cross}
    }
    language = min(means, key=lambda name: means[name])
    return f"{means[language]:.3f} ({language})"


Figures = dict[str, Any]


def _passages(label: str, choose: Callable[[Figures], Iterable[Found]], measure: str) -> Row:
    return label, lambda figures: _mean([getattr(value, measure) for value in choose(figures)])


def _across(side: int, language: str) -> Callable[[Figures], list[Found]]:
    return lambda figures: [value for pair, value in _cross(figures["xquad"]).items() if pair[side] == language]


def _korean(asked: str) -> Callable[[Figures], list[Found]]:
    return lambda figures: [value for pair, value in figures["belebele"].items() if pair[0] == asked]


def _translations(fits: Callable[[Pair], bool]) -> Callable[[Figures], str]:
    return lambda figures: _mean([value for pair, value in figures["flores"].items() if fits(pair)])


_ROWS: tuple[Row, ...] = (
    _passages("XQuAD, own language: recall@1", lambda f: _own(f["xquad"]), "recall_1"),
    _passages("  recall@5", lambda f: _own(f["xquad"]), "recall_5"),
    _passages("  nDCG@10", lambda f: _own(f["xquad"]), "ndcg_10"),
    _passages("XQuAD, across languages: recall@1", lambda f: _cross(f["xquad"]).values(), "recall_1"),
    _passages("  recall@5", lambda f: _cross(f["xquad"]).values(), "recall_5"),
    _passages("  nDCG@10", lambda f: _cross(f["xquad"]).values(), "ndcg_10"),
    ("  recall@5, worst language of questions", lambda f: _worst(f["xquad"], 0)),
    ("  recall@5, worst language of passages", lambda f: _worst(f["xquad"], 1)),
    _passages("  recall@5, passages in English", _across(1, "en"), "recall_5"),
    _passages("  recall@5, questions in English", _across(0, "en"), "recall_5"),
    ("FLORES, English and 9 others: rank 1", _translations(lambda pair: "en" in pair)),
    ("  zh-Hant and ko", _translations(lambda pair: set(pair) == {"zh-Hant", "ko"})),
    _passages("Belebele-ko, Korean questions: nDCG@10", _korean("ko"), "ndcg_10"),
    _passages("  English questions", _korean("en"), "ndcg_10"),
    ("short passages a second, all cores", lambda f: f"{f['speed'].passages_a_second:,.0f}"),
    ("seconds to load", lambda f: f"{f['speed'].load_seconds:.2f}"),
    ("size in MiB", lambda f: f"{f['speed'].megabytes:.1f}"),
)


def _matrix(xquad: dict[Pair, Found]) -> Table:
    languages = sorted({asked for asked, _ in xquad})
    table = Table("", *languages, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for asked in languages:
        table.add_row(asked, *(f"{xquad[asked, held].recall_5:.2f}".lstrip("0") for held in languages))
    return table


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    def found(values: dict[Pair, Found]) -> dict[str, Any]:
        return {f"{asked}-{held}": asdict(value) for (asked, held), value in values.items()}

    return {
        "xquad": found(figures["xquad"]),
        "belebele": found(figures["belebele"]),
        "flores": {f"{one}-{other}": value for (one, other), value in figures["flores"].items()},
        "speed": asdict(figures["speed"]),
    }


if __name__ == "__main__":
    sys.exit(main())
