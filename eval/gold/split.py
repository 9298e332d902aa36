"""A gold set in two parts, for choosing and for measuring, that share nothing but the kinds of their questions."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

import regex

from eval.gold.items import GoldItem


def split(items: Sequence[GoldItem], share: float, seed: int) -> tuple[list[GoldItem], list[GoldItem]]:
    """Two parts, in the order of `items`, of which the first has about `share` of each language, answerable and not.

    Questions stay together that have an evidence in common (the same text of the same document, or a whole document
    and anything of it) or the stem of their ids, which is the id without the language at its end, as in f00-ko and
    f00-zh-Hant. The same items and seed give the same parts, in whatever order the items come. A part is empty where
    all stay together.

    Raises:
        ValueError: `share` is not between 0 and 1, or an id occurs twice.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; expected: more than 0 and less than 1")
    by_id = {item.id: item for item in items}
    if len(by_id) != len(items):
        raise ValueError(f"{len(items) - len(by_id)} ids occur twice; expected: ids used once")
    groups = [[by_id[name] for name in group] for group in _groups(by_id)]
    random.Random(seed).shuffle(groups)
    first: Counter[tuple[str, bool]] = Counter()
    seen: Counter[tuple[str, bool]] = Counter()
    chosen: set[str] = set()
    for group in sorted(groups, key=len, reverse=True):  # what is left to even out the parts is small
        kinds = Counter((item.lang, item.answerable) for item in group)
        seen += kinds
        if _distance(first + kinds, seen, share) < _distance(first, seen, share):
            first += kinds
            chosen |= {item.id for item in group}
    return [item for item in items if item.id in chosen], [item for item in items if item.id not in chosen]


def _distance(first: Counter[tuple[str, bool]], seen: Counter[tuple[str, bool]], share: float) -> tuple[float, float]:
    """How far a part is from its share: kind by kind, and where that is even, in all."""
    by_kind = sum((first[kind] - share * n) ** 2 for kind, n in seen.items())
    return round(by_kind, 9), abs(first.total() - share * seen.total())


def _groups(items: dict[str, GoldItem]) -> list[list[str]]:
    """Ids that must stay together, each once, in an order that does not depend on that of `items`."""
    roots = {name: name for name in items}

    def root(name: str) -> str:
        while roots[name] != name:
            roots[name] = roots[roots[name]]
            name = roots[name]
        return name

    whole = {evidence.doc for item in items.values() for evidence in item.evidence if not evidence.text}
    holder: dict[Hashable, str] = {}
    for name in sorted(items):
        for bond in _bonds(items[name], whole):
            roots[root(name)] = root(holder.setdefault(bond, name))
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(items):
        found[root(name)].append(name)
    return sorted(found.values())


def _bonds(item: GoldItem, whole: set[str]) -> Iterator[Hashable]:
    """What an item has in common with those that must stay with it."""
    yield "stem", id_stem(item)
    for evidence in item.evidence:
        text = "".join(unicodedata.normalize("NFC", evidence.text).split())
        yield "evidence", evidence.doc, "" if evidence.doc in whole else text


def id_stem(item: GoldItem) -> str:
    """The id without the item's language, whatever its script and region, and the sign before it."""
    primary = regex.escape(item.lang.split("-")[0])
    ending = rf"[-_.]{primary}(?:[-_][a-z]{{4}})?(?:[-_](?:[a-z]{{2}}|\d{{3}}))?$"
    return regex.sub(rf"(?<=.){ending}", "", item.id, flags=regex.IGNORECASE)
