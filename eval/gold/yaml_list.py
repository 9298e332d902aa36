"""Gold questions as a YAML list, read without the guesses of YAML: every scalar is the text that stands there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import regex
import yaml

from eval.gold.entry import Entry, truth

_MAX_CHARS = 8 * 2**20
_MAX_DEPTH = 8  # a list of objects with lists of objects is 4 deep
# Of libyaml where PyYAML was built with it: the same, and fifty times as fast.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def entries(text: str) -> Iterator[Entry]:
    """The objects of the list that `text` holds."""
    if len(text) > _MAX_CHARS:
        yield Entry(1, problem=f"{len(text):,} characters of YAML; expected: at most {_MAX_CHARS:,}; split it")
        return
    try:
        bomb = _bomb(text)
        root = None if bomb else yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = " ".join(str(getattr(error, "problem", "") or error).split())
        bomb, root = Entry(mark.line + 1 if mark else 1, problem=f"not YAML ({why}); expected: a list of objects"), None
    if bomb:
        yield bomb
    elif isinstance(root, yaml.SequenceNode):
        yield from (Entry(_line(node), _values(node)) for node in root.value)
    elif root is not None and _plain(root) is not None:
        yield Entry(_line(root), problem="no list; expected: objects, each after a dash (- id: 1)")


def _bomb(text: str) -> Entry | None:
    """The first alias, or what is too deep: a few lines of either unfold to gigabytes, or exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            return Entry(_line(event), problem=f"an alias, *{event.anchor}; expected: the text itself")
        if depth > _MAX_DEPTH:
            return Entry(_line(event), problem=f"over {_MAX_DEPTH} levels deep; expected: 4")
    return None


def _line(part: Any) -> int:
    """The line where a node or event begins, from 1."""
    return int(part.start_mark.line) + 1


def _values(node: yaml.Node) -> Any:
    values = _plain(node)
    if isinstance(values, dict) and isinstance(values.get("answerable"), str):
        values["answerable"] = truth(values["answerable"])
    return values


def _plain(node: yaml.Node) -> Any:
    """The node as lists, dicts and texts; None is what is left empty, and left out of its list or dict."""
    if isinstance(node, yaml.SequenceNode):
        return [value for child in node.value if (value := _plain(child)) is not None]
    if isinstance(node, yaml.MappingNode):
        pairs = ((_plain(key), _plain(value)) for key, value in node.value)
        return {str(key): value for key, value in pairs if value is not None}
    plain = not getattr(node, "style", None)  # libyaml says "", PyYAML None
    return None if plain and node.value in ("", "~", "null") else node.value


def written(values: Sequence[dict[str, Any]]) -> str:
    """The list that `entries` reads as `values`."""
    return str(yaml.dump(list(values), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120))


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they are read back: PyYAML leaves line ends of Unicode bare, where they fold to a space."""


def _quoted_where_odd(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _LINE_ENDS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_LINE_ENDS = regex.compile(r"[\r\x85\u2028\u2029]")
_Dumper.add_representer(str, _quoted_where_odd)
