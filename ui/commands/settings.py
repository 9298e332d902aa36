"""The command `config`: every setting and its source."""

from __future__ import annotations

from ui.commands.options import IndexOption, JsonOption
from ui.config import explained_config
from ui.terminal import out


def config(index: IndexOption = None, as_json: JsonOption = False) -> None:
    """Show every setting, its value, and where that comes from."""
    found = explained_config(index=index)
    payload = {name: {"value": _plain(value), "source": source} for name, (value, source) in found.items()}
    width = max(map(len, found))
    lines = [f"{name:{width}}  {_shown(value):24}  {source}" for name, (value, source) in found.items()]
    out(payload, as_json, "\n".join(lines))


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, str | int | bool | None) else str(value)


def _shown(value: object) -> str:
    if value is None or value in ("", ()):
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
