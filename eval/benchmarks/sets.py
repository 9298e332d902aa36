"""Public sets as gold items: each converter yields parts, an index and the questions put to it."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from eval.benchmarks.suites import Suite
from eval.errors import SetMissing
from eval.gold import CorpusDocument, Evidence, GoldItem, Need, read_gold, read_squad

LANGUAGES = {"zh": "zh-Hans"}  # what a set's file name means, where it is no BCP 47 tag of ours

Documents = Mapping[str, Sequence[CorpusDocument]]  # by the name of the JSON lines file that evidence names


@dataclass(frozen=True, slots=True)
class Part:
    """What is indexed, documents or a path to files, and the questions put to that index."""

    items: Sequence[GoldItem]
    documents: Documents
    articles: Path | None = None


def parts(suite: Suite) -> Iterator[Part]:
    """The parts of a quality suite, sampled as it says.

    Raises:
        SetMissing: Its data is not there.
    """
    return CONVERTERS[suite.kind](suite)


def _gold(suite: Suite) -> Iterator[Part]:
    """A gold file and its articles; `need` says how many of the expected answers a right answer holds."""
    need = Need(suite.values.get("need", Need.ANY))
    items = [replace(item, need=need) if item.answers else item for item in read_gold(suite.path())[:: suite.every]]
    yield Part(items, {}, suite.path(suite.values["articles"]))


def _squad(suite: Suite) -> Iterator[Part]:
    """A file in the shape of SQuAD; passages of the files in `also` are indexed beside its own."""
    found = read_squad(suite.path(), suite.values["lang"])
    documents = {f"{suite.path().stem}.jsonl": found.documents}
    for name, lang in suite.values.get("also", ()):
        path = suite.path(name)
        documents[f"also-{path.stem}.jsonl"] = read_squad(path, lang).documents
    yield Part(found.items[:: suite.every], documents)


def _belebele(suite: Suite) -> Iterator[Part]:
    """Belebele (Bandarkar et al. 2024): a whole passage answers each question."""
    lang = suite.values["lang"]
    rows = [json.loads(line) for line in suite.path().read_text("utf-8").split("\n") if line.strip()]
    ids = {text: str(i) for i, text in enumerate(dict.fromkeys(row["flores_passage"] for row in rows))}
    items = [
        _wants(str(i), row["question"], lang, "belebele.jsonl", ids[row["flores_passage"]])
        for i, row in enumerate(rows)
    ]
    documents = [CorpusDocument(name, text, lang=lang) for text, name in ids.items()]
    yield Part(items[:: suite.every], {"belebele.jsonl": documents})


def _wants(name: str, question: str, lang: str, corpus: str, document: str) -> GoldItem:
    """A question whose evidence is a whole document."""
    return GoldItem(name, question, lang, True, (), (Evidence(f"{corpus}#{document}"),))


def _xquad(suite: Suite) -> Iterator[Part]:
    """XQuAD (Artetxe et al. 2020): an index a language, asked in its own language or in each other one."""
    languages = _xquad_languages(suite)
    for held, (documents, own) in languages.items():
        asked = [held] if suite.values["asked"] == "own" else [other for other in languages if other != held]
        items = []
        for i, lang in enumerate(asked):
            for name in list(own)[5 * i % suite.every :: suite.every]:  # each pair has other questions
                question = languages[lang][1][name].question
                items.append(replace(own[name], id=f"{lang}-{own[name].id}", question=question, lang=lang))
        yield Part(items, documents)


def _xquad_mixed(suite: Suite) -> Iterator[Part]:
    """One index of all languages; the evidence of a question are the passages of all other languages."""
    languages = _xquad_languages(suite)
    items = []
    for i, (lang, (_, own)) in enumerate(languages.items()):
        for name in list(own)[5 * i % suite.every :: suite.every]:
            others = [other[name].evidence[0] for held, (_, other) in languages.items() if held != lang]
            items.append(replace(own[name], evidence=tuple(others)))
    yield Part(items, {name: own for documents, _ in languages.values() for name, own in documents.items()})


def _xquad_languages(suite: Suite) -> dict[str, tuple[Documents, dict[str, GoldItem]]]:
    """XQuAD by language: its documents, and the questions that all languages have, by the id that is theirs in all."""
    found = {}
    for path in _files(suite.path(), "xquad.*.json"):
        code = path.name.split(".")[1]
        lang = LANGUAGES.get(code, code)
        read = read_squad(path, lang)
        items = {item.id.removesuffix(f"-{lang}"): item for item in read.items}
        found[lang] = ({f"{path.stem}.jsonl": read.documents}, items)
    names = set.intersection(*(set(items) for _, items in found.values()))
    return {
        lang: (documents, {name: item for name, item in items.items() if name in names})
        for lang, (documents, items) in found.items()
    }


def _flores(suite: Suite) -> Iterator[Part]:
    """FLORES-101 (Goyal et al. 2022): the documents are sentences, the question is one in another language."""
    for asked, held in suite.values["pairs"]:
        sentences = flores(suite.path(), {asked, held})
        corpus = f"flores-{held}.jsonl"
        documents = tuple(CorpusDocument(str(i), text, lang=held) for i, text in enumerate(sentences[held]))
        items = [_wants(f"{asked}-{held}-{i}", text, asked, corpus, str(i)) for i, text in enumerate(sentences[asked])]
        yield Part(items[:: suite.every], {corpus: documents})


def flores(folder: Path, languages: set[str]) -> dict[str, list[str]]:
    """The sentences that all `languages` have, in the same order in each; English is always among the keys."""
    found = {}
    for lang in sorted(languages - {"en"}):
        path = next(iter(_files(folder, f"{lang}.tsv.gz")))
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            pairs = (line.rstrip("\n").split("\t") for line in lines)
            found[lang] = {pair[0]: pair[1] for pair in pairs}
    first, *others = found.values()
    english = [text for text in first if all(text in other for other in others)]
    return {"en": english, **{lang: [own[text] for text in english] for lang, own in found.items()}}


def _nomiracl(suite: Suite) -> Iterator[Part]:
    """NoMIRACL (Thakur et al. 2024): ten passages a question; of languages that have both kinds of questions."""
    folder = suite.path()
    kinds = {True: "relevant", False: "non_relevant"}
    files = {answerable: {p.name: p for p in _files(folder / kind, "*.jsonl.xz")} for answerable, kind in kinds.items()}
    for name in sorted(set(files[True]) & set(files[False])):
        code = name.split(".")[0]
        lang = LANGUAGES.get(code, code)
        rows = [_xz_rows(files[answerable][name])[:: suite.every] for answerable in (True, False)]
        for pair in zip_longest(*rows):
            for answerable, row in zip((True, False), pair, strict=True):
                if row is not None:
                    yield _judged(row, lang, answerable=answerable)


def _judged(row: dict[str, Any], lang: str, *, answerable: bool) -> Part:
    documents = [CorpusDocument(str(i), text, lang=lang) for i, text in enumerate(dict.fromkeys(row["passages"]))]
    item = GoldItem(f"{lang}-{row['query_id']}-{answerable}", row["query"], lang, answerable, (), ())
    return Part([item], {"nomiracl.jsonl": documents})


def _xz_rows(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _files(folder: Path, pattern: str) -> list[Path]:
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise SetMissing(f"{folder} has no {pattern}; fix: name the folder of the data with --shared")
    return paths


CONVERTERS: dict[str, Callable[[Suite], Iterator[Part]]] = {
    "gold": _gold,
    "squad": _squad,
    "belebele": _belebele,
    "xquad": _xquad,
    "xquad-mixed": _xquad_mixed,
    "flores": _flores,
    "nomiracl": _nomiracl,
}
