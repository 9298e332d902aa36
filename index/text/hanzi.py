"""Traditional and Simplified Chinese: telling them apart, and folding both to one key.

The character tables are OpenCC's (Apache-2.0), as carried by opencc-python-reimplemented.
"""

from __future__ import annotations

import functools
from importlib.metadata import distribution
from pathlib import Path


def hant_or_hans(text: str) -> str:
    """`zh-Hant` or `zh-Hans` by the characters that only one of them uses; `zh` on a tie."""
    only_traditional, only_simplified = telling_characters()
    n_traditional = sum(char in only_traditional for char in text)
    n_simplified = sum(char in only_simplified for char in text)
    if n_traditional == n_simplified:
        return "zh"
    return "zh-Hant" if n_traditional > n_simplified else "zh-Hans"


def fold_traditional(text: str) -> str:
    """`text` with each Traditional character replaced by its Simplified one, same length."""
    return text.translate(_to_simplified())


@functools.cache
def _to_simplified() -> dict[int, str]:
    table = _table("TSCharacters.txt")
    return {ord(traditional): simplified[0] for traditional, simplified in table.items()}


def traditional_forms(char: str) -> list[str]:
    """What `char` is written as in Traditional text, the usual form first; itself where it is the same."""
    return _table("STCharacters.txt").get(char, [char])


@functools.cache
def telling_characters() -> tuple[frozenset[str], frozenset[str]]:
    """Characters used in Traditional text only, and in Simplified text only."""
    to_simplified, to_traditional = _table("TSCharacters.txt"), _table("STCharacters.txt")
    traditional = frozenset(char for char, forms in to_simplified.items() if char not in forms)
    simplified = frozenset(char for char, forms in to_traditional.items() if char not in forms)
    return traditional - simplified, simplified - traditional


@functools.cache
def _table(name: str) -> dict[str, list[str]]:
    path = Path(str(distribution("opencc-python-reimplemented").locate_file(f"opencc/dictionary/{name}")))
    rows = (line.split("\t") for line in path.read_text("utf-8").splitlines() if "\t" in line)
    return {key: forms.split() for key, forms in rows if len(key) == 1 and forms.split()}
