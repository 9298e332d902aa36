"""Articles of any number: sentences of real articles shuffled, one language each, so that no two are alike."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eval.retrieval import collections as sets
from index.read.text import read_markdown
from index.text.sentences import split_sentences

ARTICLES = "articles"  # a folder of articles of one's own, beside questions.jsonl
_OPENINGS = "head_articles_*.json.gz"
_SENTENCES = (12, 40)  # an article


def sentence_pools(data: Path) -> dict[str, list[str]]:
    """Sentences by language: of XQuAD's passages in `data`/dev/xquad, and of encyclopedic openings where they are.

    Where there is `data`/articles, Markdown with its language in front, it is the sentences of those.

    Raises:
        SetMissing: There is neither.
    """
    texts = _of_articles(data) if (data / ARTICLES).is_dir() else _of_sets(data)
    pools = {
        language: [text[a:b] for text in own for a, b in split_sentences(text) if b - a > 20]
        for language, own in texts.items()
    }
    return {language: pool for language, pool in pools.items() if pool}


def _of_sets(data: Path) -> dict[str, list[str]]:
    texts = {
        language: [text for _, text in collection.documents.values()]
        for language, collection in sets.xquad(data / "dev" / "xquad").items()
    }
    for path in sorted((data / "qp" / "wikipedia-openings").glob(_OPENINGS)):
        language = path.name.removesuffix(".json.gz").rpartition("_")[2]
        with gzip.open(path, "rt", encoding="utf-8") as opened:
            texts.setdefault(language, []).extend(json.load(opened).values())
    return texts


def _of_articles(data: Path) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for path in sorted((data / ARTICLES).glob("*.md")):
        article = read_markdown(path.read_bytes())
        texts.setdefault(article.metadata.language, []).append("\n".join(block.text for block in article.blocks))
    return texts


def questions(data: Path, n: int) -> list[str]:
    """`n` questions of XQuAD, of its languages in turn; with `data`/articles, those in `data`/questions.jsonl."""
    if (data / ARTICLES).is_dir():
        lines = (data / "questions.jsonl").read_text("utf-8").splitlines()
        return [json.loads(lines[i % len(lines)])["question"] for i in range(n)]
    by_language = [[question.text for question in one.questions] for one in sets.xquad(data / "dev" / "xquad").values()]
    return [by_language[i % len(by_language)][37 * i % len(by_language[0])] for i in range(n)]


def articles(pools: Mapping[str, Sequence[str]], seed: int) -> Iterator[dict[str, str]]:
    """Articles without end, the same ones for the same seed."""
    generator = random.Random(seed)
    languages = sorted(pools)
    number = 0
    while True:
        language = generator.choice(languages)
        chosen = [generator.choice(pools[language]) for _ in range(generator.randint(*_SENTENCES))]
        yield {"id": f"{seed}-{number}", "title": chosen[0][:60], "text": " ".join(chosen), "lang": language}
        number += 1


def write_articles(path: Path, pools: Mapping[str, Sequence[str]], n_chars: int, seed: int) -> int:
    """JSON lines with about `n_chars` characters of articles; how many articles."""
    written = number = 0
    with path.open("w", encoding="utf-8") as opened:
        for article in articles(pools, seed):
            if written >= n_chars:
                break
            opened.write(json.dumps(article, ensure_ascii=False) + "\n")
            written += len(article["text"])
            number += 1
    return number
