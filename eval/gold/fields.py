"""What is wrong with the fields of one gold question, each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import regex

from eval.gold.items import Evidence
from index.text.language import script_of


class Severity(StrEnum):
    """Whether the file can be used with a problem: not with an error."""

    ERROR = "error"
    WARNING = "warning"


class Found(NamedTuple):
    """What a check says of an entry."""

    severity: Severity
    what: str
    remedy: str


def error(what: str, remedy: str) -> Found:
    """An error, found."""
    return Found(Severity.ERROR, what, remedy)


def warning(what: str, remedy: str) -> Found:
    """A warning, found."""
    return Found(Severity.WARNING, what, remedy)


_FIELDS = ("id", "question", "lang", "answerable", "answers", "evidence", "tags")


def check_fields(values: dict[str, Any]) -> Iterator[Found]:
    """What is missing or of another kind."""
    for name in ("id", "question", "lang"):
        yield from _text(name, values.get(name))
    answerable = values.get("answerable")
    if answerable is None:
        yield error("answerable is missing", "say true, or false where no document answers")
    elif not isinstance(answerable, bool):
        yield error(f"answerable is {short(answerable)}", "say true or false, without quotes")
    for name in ("answers", "tags"):
        yield from _texts(name, values.get(name, []))
    yield from _evidence_fields(values.get("evidence", []))


def _text(name: str, value: Any) -> Iterator[Found]:
    if value is None or value == "":
        yield error(f"{name} is missing", f"give it: {_EXAMPLES[name]}")
    elif isinstance(value, str):
        if not value.strip():
            yield error(f"{name} is empty", f"give it: {_EXAMPLES[name]}")
    elif name != "id" or isinstance(value, bool) or not isinstance(value, int):
        yield error(f"{name} is {short(value)}", f"write it as text: {_EXAMPLES[name]}")


_EXAMPLES = {"id": '"q01"', "question": '"누가 ...?"', "lang": 'a BCP 47 tag, "ko" or "zh-Hant"'}


def _texts(name: str, values: Any) -> Iterator[Found]:
    if not isinstance(values, list):
        yield error(f"{name} is {short(values)}", f'write a list: "{name}": ["..."]')
        return
    for value in values:
        if isinstance(value, list | dict | bool | None):
            yield error(f"{name} holds {short(value)}", "write texts only")
        elif not str(value).strip():
            yield warning(f"{name} holds an empty text", "leave it out")


def _evidence_fields(values: Any) -> Iterator[Found]:
    if not isinstance(values, list):
        yield error(f"evidence is {short(values)}", 'write a list: "evidence": [{"doc": ..., "text": ...}]')
        return
    for value in values:
        yield from _one_evidence(value)


def _one_evidence(value: Any) -> Iterator[Found]:
    if not isinstance(value, dict) or not isinstance(value.get("doc"), str) or not value["doc"].strip():
        yield error(f"evidence {short(value)} names no document", 'write {"doc": file name, "text": span}')
        return
    text, grade = value.get("text", ""), value.get("grade", 1)
    if not isinstance(text, str):
        yield error(f"the text of evidence is {short(text)}", "copy it from the document")
    elif text and not text.strip():
        yield error("the text of evidence is white space", "leave it out to mean the whole document")
    if not regex.fullmatch(r"[1-9]\d{0,8}", str(grade)):
        yield error(f"grade is {short(grade)}", "write 1, 2, 3 ... or leave it out")


def usable_evidence(values: dict[str, Any]) -> list[Evidence]:
    """The evidence that says where it stands, whatever else is wrong with the question."""
    entries = values.get("evidence", [])
    sound = (value for value in entries if not list(_one_evidence(value))) if isinstance(entries, list) else ()
    return [Evidence(value["doc"], value.get("text", "")) for value in sound]


def unread_fields(values: dict[str, Any]) -> Iterator[Found]:
    """Names that nothing reads: a slip of the pen leaves a field out without a word."""
    names = [name for name in values if name not in _FIELDS]
    if names:
        yield warning(f"{', '.join(map(str, names))} is not read", f"the fields are {', '.join(_FIELDS)}")


# BCP 47 (RFC 5646): language, extlang, script, region, variants, extensions, private use.
_TAG = regex.compile(
    r"[a-z]{2,3}(?:-[a-z]{3}){0,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*"
    r"(?:-[a-wyz\d](?:-[a-z\d]{2,8})+)*(?:-x(?:-[a-z\d]{1,8})+)?",
    regex.IGNORECASE,
)
_SLIPS = {"kr": "ko", "jp": "ja", "cn": "zh-Hans", "tw": "zh-Hant", "hk": "zh-Hant-HK", "cz": "cs", "gr": "el",
          "ua": "uk", "vn": "vi", "dk": "da", "se": "sv", "in": "hi", "iw": "he", "zh-cn": "zh-Hans",
          "zh-tw": "zh-Hant", "zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}  # fmt: skip


def check_language(lang: str) -> Iterator[Found]:
    """Whether a tag is one, of a language that is known here."""
    meant = _meant(lang.strip().replace("_", "-").casefold())
    remedy = f"write {meant}" if meant else 'write a tag like "ko", "zh-Hant" or "pt-BR"'
    if not _TAG.fullmatch(lang):
        yield error(f"lang {lang!r} is no BCP 47 tag", remedy)
    elif not script_of(lang):
        yield warning(f"lang {lang!r} is no language known here", remedy)


def _meant(lang: str) -> str:
    """The tag that a slip of the pen, in lower case, stands for: scripts as Hant, regions as TW; empty if none."""
    if lang in _SLIPS:
        return _SLIPS[lang]
    if not _TAG.fullmatch(lang) or not script_of(lang):
        return ""
    primary, *parts = lang.split("-")
    return "-".join([primary, *({2: str.upper, 4: str.title}.get(len(part), str)(part) for part in parts)])


def short(value: Any, max_chars: int = 60) -> str:
    """A value for a message: texts in quotes, cut."""
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= max_chars else text[: max_chars - 1] + "…"
    return repr(cut) if isinstance(value, str) else cut
