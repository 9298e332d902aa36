"""Articles of any number for the speed suites: shuffled sentences of real articles, one language an article."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from eval.benchmarks.suites import Suite
from eval.gold import read_gold, read_squad
from index.encoders.base import Encoder
from index.ingest import ingest
from index.text.sentences import split_sentences

Pools = Mapping[str, Sequence[str]]  # sentences by language
_SENTENCES = (12, 40)  # an article
_CHARS_A_PASSAGE = 480
_AT_ONCE = 100_000  # passages a file of articles


@dataclass(frozen=True, slots=True)
class Built:
    """What an ingest added to an index."""

    n_passages: int
    n_chars: int
    n_bytes: int  # of its text in UTF-8
    seconds: float  # of the ingest


def sentence_pools(suite: Suite) -> dict[str, list[str]]:
    """Sentences by language, of openings of encyclopedic articles; of the samples where those are not there."""
    texts: dict[str, list[str]] = {}
    for path in sorted((suite.shared / "data/qp/wikipedia-openings").glob("head_articles_*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts[path.name.removesuffix(".json.gz").rpartition("_")[2]] = list(json.load(file).values())
    if not texts:
        for path in sorted(suite.path("ui/samples/articles").glob("*.md")):
            texts.setdefault(path.stem.split("-", 2)[2], []).append(path.read_text("utf-8").split("---", 2)[-1])
    return {
        language: [text[a:b] for text in own for a, b in split_sentences(text) if b - a > 20]
        for language, own in texts.items()
    }


def questions(suite: Suite, n: int) -> list[str]:
    """`n` different questions in many languages: of XQuAD, or of the samples where it is not there."""
    paths = sorted((suite.shared / "data/dev/xquad").glob("xquad.*.json"))
    if not paths:
        asked = [item.question for item in read_gold(suite.path("ui/samples/questions.jsonl"))]
        return [f"{asked[i % len(asked)]} {i // len(asked) or ''}".strip() for i in range(n)]
    found = [item.question for path in paths for item in read_squad(path, "").items]
    random.Random(0).shuffle(found)
    return list(islice(dict.fromkeys(found), n))


def articles(pools: Pools, seed: int) -> Iterator[dict[str, str]]:
    """Articles without end, the same ones for the same seed."""
    generator = random.Random(seed)
    languages = sorted(pools)
    number = 0
    while True:
        language = generator.choice(languages)
        chosen = [generator.choice(pools[language]) for _ in range(generator.randint(*_SENTENCES))]
        yield {"id": f"{seed}-{number}", "title": chosen[0][:60], "text": " ".join(chosen), "lang": language}
        number += 1


def grow(index: Path, pools: Pools, n_passages: int, encoder: Encoder, *, there: int = 0) -> Built:
    """Add articles to an index that has `there` passages until it has about `n_passages`; what was added."""
    built, rate = Built(0, 0, 0, 0.0), float(_CHARS_A_PASSAGE)
    while there + built.n_passages < 0.98 * n_passages:
        n = there + built.n_passages
        wanted = min(_AT_ONCE, n_passages - n)
        path = index.parent / f"articles-{n}.jsonl"
        texts = _write(path, articles(pools, n), int(wanted * rate))
        report = ingest(index, [str(path)], encoder)
        path.unlink()
        rate *= wanted / max(1, report.n_passages)
        built = Built(
            built.n_passages + report.n_passages,
            built.n_chars + sum(map(len, texts)),
            built.n_bytes + sum(len(text.encode()) for text in texts),
            built.seconds + report.seconds,
        )
    return built


def _write(path: Path, coming: Iterator[dict[str, str]], n_chars: int) -> list[str]:
    """Write articles of at least `n_chars` together; their texts."""
    texts: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        while n_chars > 0:
            article = next(coming)
            file.write(json.dumps(article, ensure_ascii=False) + "\n")
            texts.append(article["text"])
            n_chars -= len(article["text"])
    return texts
