"""What the systems are given: articles and gold questions, of published sets or of the user's files."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import GoldError, SetMissing
from eval.gold import Evidence, GoldItem, read_gold
from eval.latency.articles import articles, questions, sentence_pools
from index.documents import Article
from index.read.jsonl import read_jsonl
from index.settings import Limits
from index.text.language import detect_language
from index.text.sentences import split_sentences

LANGUAGES = ("en", "zh", "ar", "de")
SETS = ("mixed", "english", "speed")
_CHARS_A_PASSAGE = 550  # in many languages; eval.latency
_N_SPEED_QUESTIONS = 60


@dataclass(frozen=True, slots=True)
class Trial:
    """Documents (`id`, `title`, `text` in NFC, `lang`) and questions about them.

    Questions without evidence are asked, which takes time, and not measured.
    """

    name: str
    about: str
    documents: tuple[dict[str, str], ...]
    items: tuple[GoldItem, ...]
    timed: bool = False  # whether it is large enough, or the user's, so that times say something

    @property
    def n_chars(self) -> int:
        return sum(len(document["text"]) for document in self.documents)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The files of documents and of questions in `folder`, written where they are not there yet."""
        questions = [{"id": item.id, "question": item.question} for item in self.items]
        paths = folder / f"{self.name}.corpus.jsonl", folder / f"{self.name}.questions.jsonl"
        for path, rows in zip(paths, (self.documents, questions), strict=True):
            if not path.exists():
                path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        return paths


def published(names: Sequence[str], data: Path, every: int, n_passages: int) -> list[Trial]:
    """The trials called `names` of the sets in `data`.

    Args:
        names: Of `SETS`.
        data: Folder with dev/xquad, and qp/wikipedia-openings if there is one.
        every: Every n-th question of XQuAD is asked.
        n_passages: About how many passages the articles of `speed` make.

    Raises:
        SetMissing: A set is not there.
    """
    made = []
    for name in names:
        if name == "mixed":
            made.append(_mixed(data, every))
        elif name == "english":
            rows = _xquad(data, "en")
            made.append(Trial(name, "XQuAD in English", _documents(["en"], [rows]), _asked([rows], ["en"], every)))
        else:
            made.append(_speed(data, n_passages))
    return made


def _mixed(data: Path, every: int) -> Trial:
    """Each paragraph of XQuAD in one language, the languages in turn; each question in all of them."""
    rows = [_xquad(data, language) for language in LANGUAGES]
    about = f"XQuAD, each paragraph in one of {', '.join(LANGUAGES)}, in one index; each question in all of them"
    return Trial("mixed", about, _documents(LANGUAGES, rows), _asked(rows, LANGUAGES, every))


def _xquad(data: Path, language: str) -> list[dict[str, Any]]:
    """The paragraphs of XQuAD, parallel in all languages."""
    path = data / "dev" / "xquad" / f"xquad.{language}.json"
    if not path.is_file():
        raise SetMissing(f"there is no {path}; expected: XQuAD; to mend: give the folder above dev/xquad as --data")
    return [row for article in json.loads(path.read_text("utf-8"))["data"] for row in article["paragraphs"]]


def _documents(languages: Sequence[str], rows: Sequence[list[dict[str, Any]]]) -> tuple[dict[str, str], ...]:
    chosen = [(i % len(languages), i) for i in range(len(rows[0]))]
    return tuple(
        {"id": f"xquad-{i}", "title": "", "text": _nfc(rows[own][i]["context"]), "lang": languages[own]}
        for own, i in chosen
    )


def _asked(rows: Sequence[list[dict[str, Any]]], languages: Sequence[str], every: int) -> tuple[GoldItem, ...]:
    """Every n-th question in each language; the evidence is the sentence with the answer in the document's."""
    places = [(i, j) for i, row in enumerate(rows[0]) for j in range(len(row["qas"]))][::every]
    items = []
    for i, j in places:
        held = rows[i % len(rows)][i]
        answers = [answer["text"] for answer in held["qas"][j]["answers"]]
        evidence = (Evidence(f"xquad-{i}", _sentence(held["context"], held["qas"][j]["answers"][0])),)
        for language, own in zip(languages, rows, strict=True):
            asked = own[i]["qas"][j]
            items.append(
                GoldItem(
                    f"{asked['id']}-{language}", asked["question"], language, True, tuple(map(_nfc, answers)), evidence
                )
            )
    return tuple(items)


def _sentence(context: str, answer: dict[str, Any]) -> str:
    """The sentence, or sentences, in which the answer stands."""
    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    touched = [(a, b) for a, b in split_sentences(context) if a < end and start < b]
    return context[touched[0][0] : touched[-1][1]] if touched else str(answer["text"])


def _speed(data: Path, n_passages: int) -> Trial:
    wanted, made = n_passages * _CHARS_A_PASSAGE, 0
    documents = []
    for article in articles(sentence_pools(data), 0):
        if made >= wanted:
            break
        documents.append({**article, "text": _nfc(article["text"]), "title": _nfc(article["title"])})
        made += len(article["text"])
    asked = questions(data, _N_SPEED_QUESTIONS)
    items = [GoldItem(str(i), question, "", False, (), ()) for i, question in enumerate(asked)]
    about = "shuffled real sentences in many languages (eval.latency)"
    return Trial("speed", about, tuple(documents), tuple(items), timed=True)


def yours(corpus: Path, gold: Path, every: int) -> Trial:
    """The user's articles (JSON lines, as `dragoman index` reads them) and every n-th of their gold questions.

    Raises:
        GoldError: One of the files cannot be read or is empty.
        ReadError: The corpus cannot be opened.
    """
    documents = tuple(_read(corpus))
    if not documents:
        raise GoldError(f"{corpus} holds no article; expected: one JSON object a line, with id and text")
    items = tuple(read_gold(gold)[::every])
    return Trial("yours", f"{corpus.name}, {gold.name}", documents, items, timed=True)


def _read(corpus: Path) -> Iterator[dict[str, str]]:
    for article in read_jsonl(corpus, Limits()):
        if not isinstance(article, Article):
            raise GoldError(f"{corpus}: {article}") from article
        text = _nfc("\n\n".join(block.text for block in article.blocks))
        language = article.metadata.language or detect_language(text)
        yield {"id": article.part, "title": _nfc(article.metadata.title), "text": text, "lang": language}


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
