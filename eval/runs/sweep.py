"""One gold set under several settings, in one table: what a setting is worth."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from eval.runs.rows import Row
from index.settings import SearchSettings
from rag.chain import ChainSettings

_OF_SEARCH = tuple(field.name for field in fields(SearchSettings))
_OF_CHAIN = tuple(field.name for field in fields(ChainSettings) if field.name != "search")
# What needs another chain than another setting of it.
OF_SESSION = ("encoder", "reranker", "model")
KNOWN = (*OF_SESSION, *_OF_CHAIN, *_OF_SEARCH)


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of settings."""

    values: Mapping[str, str]

    @property
    def name(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.values.items()) or "as it is"

    def of_session(self) -> dict[str, str]:
        """The settings that the chain is opened with."""
        return {name: value for name, value in self.values.items() if name in OF_SESSION}

    def settings(self, base: ChainSettings) -> ChainSettings:
        """`base` with this variant's settings.

        Raises:
            ValueError: A value is none for its setting.
        """
        own = {name: _convert(name, value, base) for name, value in self.values.items() if name in _OF_CHAIN}
        search = {name: _convert(name, value, base.search) for name, value in self.values.items() if name in _OF_SEARCH}
        return replace(base, **own, search=replace(base.search, **search))


def variants(texts: Sequence[str]) -> list[Variant]:
    """Every combination of what `NAME=VALUE,VALUE...` name, in their order.

    Raises:
        ValueError: One names nothing that can be set, or no value.
    """
    named: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        chosen = [value.strip() for value in values.split(",") if value.strip()]
        if not equals or name not in KNOWN or not chosen:
            raise ValueError(f"{text!r} is nothing to vary; expected: NAME=VALUE,VALUE with one of {', '.join(KNOWN)}")
        named[name] = chosen
    return [Variant(dict(zip(named, chosen, strict=True))) for chosen in itertools.product(*named.values())]


def sweep(chosen: Sequence[Variant], run: Callable[[Variant], list[Row]]) -> dict[str, list[Row]]:
    """The rows of each variant, by its name; the first is what the others are held against."""
    return {variant.name: run(variant) for variant in chosen}


def _convert(name: str, text: str, base: Any) -> Any:
    kind = type(getattr(base, name))
    try:
        return kind(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {text!r}; expected: {'a whole number' if kind is int else 'a number'}") from error
