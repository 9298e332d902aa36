"""Published articles as they are, an index of them, and questions about some."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path

from eval.latency import articles as shuffled
from eval.retrieval import collections as sets
from index.encoders import load_encoder
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend

_OPENINGS = "head_articles_*.json.gz"
_AT_ONCE = 1_000  # articles that are added before the passages are counted


def articles(data: Path) -> Iterator[dict[str, str]]:
    """XQuAD's paragraphs in `data`/dev/xquad, then openings of encyclopedic articles, of each language in turn.

    Where there is `data`/articles, as many as wanted of shuffled sentences of those.

    Raises:
        SetMissing: There is neither.
    """
    if (data / shuffled.ARTICLES).is_dir():
        for article in shuffled.articles(shuffled.sentence_pools(data), seed=0):
            yield article | {"id": f"shuffled-{article['id']}"}
    for language, collection in sets.xquad(data / "dev" / "xquad").items():
        for number, (_, text) in enumerate(collection.documents.values()):
            yield {"id": f"xquad-{language}-{number}", "text": text, "lang": language}
    openings = [_openings(path) for path in sorted((data / "qp" / "wikipedia-openings").glob(_OPENINGS))]
    for together in zip_longest(*openings):
        yield from (article for article in together if article is not None)


def questions(data: Path, seed: int = 0) -> list[str]:
    """XQuAD's questions in all its languages, or those beside `data`/articles; in one random order for one seed."""
    if (data / shuffled.ARTICLES).is_dir():
        found = shuffled.questions(data, 1_000)
    else:
        found = [question.text for one in sets.xquad(data / "dev" / "xquad").values() for question in one.questions]
    found = list(dict.fromkeys(found))
    random.Random(seed).shuffle(found)
    return found


def build(folder: Path, scratch: Path, data: Path, n_passages: int) -> dict[str, int]:
    """Index articles until there are `n_passages`, or no more articles; how many of each set were taken.

    Raises:
        SetMissing: There is no XQuAD.
    """
    encoder, coming = load_encoder("embedded"), articles(data)
    taken: Counter[str] = Counter()
    while (not taken or count_passages(folder) < n_passages) and (some := list(islice(coming, _AT_ONCE))):
        path = scratch / f"articles-{taken.total()}.jsonl"
        path.write_text("".join(json.dumps(article, ensure_ascii=False) + "\n" for article in some), "utf-8")
        ingest(folder, [str(path)], encoder)
        path.unlink()
        taken.update(article["id"].partition("-")[0] for article in some)
    return dict(taken)


def count_passages(folder: Path) -> int:
    """Passages of an index."""
    backend = EmbeddedBackend(folder)
    try:
        return backend.stats().n_passages
    finally:
        backend.close()


def _openings(path: Path) -> Iterator[dict[str, str]]:
    language = path.name.removesuffix(".json.gz").rpartition("_")[2]
    with gzip.open(path, "rt", encoding="utf-8") as opened:
        texts = json.load(opened)
    for number, (title, text) in enumerate(texts.items()):
        yield {"id": f"wikipedia-{language}-{number}", "title": title, "text": text, "lang": language}
