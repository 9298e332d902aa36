"""Sets of questions with answers and no documents: MKQA (Longpre et al. 2021), in its own form and by language.

Its own: `{"example_id", "queries": {"ko": ...}, "answers": {"ko": [{"type", "text", "aliases"}]}}`, 26 languages.
By language (MIA 2022): `{"id": "1_ko", "lang", "question", "answers": [...]}`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from eval.errors import GoldError
from eval.gold.importers.corpus import Imported, Note, NoteKind, json_lines
from eval.gold.items import GoldItem

_TAGS = {"zh_cn": "zh-Hans", "zh_tw": "zh-Hant", "zh_hk": "zh-Hant-HK", "no": "nb"}
_UNANSWERABLE = "unanswerable"


def read_mkqa(path: Path, languages: Collection[str] = ()) -> Imported:
    """The questions of a file, with their answers, without evidence; ids are those of MKQA and end in the language.

    Answers are each alternative's text and its aliases. Tags are the types of the answer. A question that MKQA calls
    unanswerable is so here; one whose answer would be long, and is not there, is left out and noted.

    Args:
        path: The file, in either form.
        languages: BCP 47 tags (MKQA's zh_cn is zh-Hans, zh_tw zh-Hant, no nb); by default all that are there.

    Raises:
        GoldError: The file cannot be read, a line is of another shape, or there is no question in these languages.
    """
    items: dict[str, GoldItem] = {}
    notes: list[Note] = []
    for number, values in json_lines(path):
        where = f"line {number}"
        for item in _questions(values, f"{path}, {where}"):
            if languages and item.lang not in languages:
                continue
            if item.answerable and not item.answers:
                notes.append(Note(NoteKind.DROPPED, where, f"{item.id} has no answer in the file"))
            elif item.id in items:
                notes.append(Note(NoteKind.DROPPED, where, f"the id {item.id} occurs twice"))
            else:
                items[item.id] = item
    if not items:
        asked = f" in {', '.join(sorted(languages))}" if languages else ""
        raise GoldError(f"{path} gives no question{asked}; expected: MKQA, in its own form or by language")
    return Imported("", tuple(items.values()), (), tuple(notes))


def _questions(values: dict[str, Any], where: str) -> Iterator[GoldItem]:
    try:
        if "queries" in values:
            for code, question in values["queries"].items():
                yield _original(str(values["example_id"]), code, question, values["answers"].get(code) or [])
        else:
            code = str(values["lang"])
            number = str(values["id"]).removesuffix(f"_{code}")
            answers = _texts(values["answers"])
            yield GoldItem(f"{number}-{_tag(code)}", str(values["question"]), _tag(code), True, answers, ())
    except (KeyError, TypeError, AttributeError) as error:
        raise GoldError(f"{where}: {type(error).__name__}: {error}; expected: {_SHAPE}") from error


_SHAPE = "example_id, queries and answers by language; or id, lang, question and a list answers"


def _original(number: str, code: str, question: str, answers: list[dict[str, Any]]) -> GoldItem:
    types = tuple(dict.fromkeys(str(answer["type"]) for answer in answers))
    texts = [text for answer in answers for text in (answer.get("text"), *(answer.get("aliases") or ()))]
    answerable = _UNANSWERABLE not in types
    return GoldItem(
        f"{number}-{_tag(code)}", str(question), _tag(code), answerable, _texts(texts) if answerable else (), (), types
    )


def _texts(values: list[Any]) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError("answers is no list")
    return tuple(dict.fromkeys(text for value in values if value is not None and (text := str(value).strip())))


def _tag(code: str) -> str:
    return _TAGS.get(code, code.replace("_", "-"))
