"""Settings of a session: flags over environment over dragoman.toml over defaults, read in one place."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from index.store import as_place, own_folder, shown_place
from index.store.base import IndexPlace
from ui.server.settings import ServerSettings, Site

if TYPE_CHECKING:
    from index.settings import IndexSettings

CONFIG_FILE = "dragoman.toml"
ALIASES_FILE = "aliases.toml"
# The range of each setting that is a number; those of the server check themselves.
_RANGES = {"k": (1, 1_000), "port": (1, 65_535), "max_file_mb": (1, 2**20), "passage_tokens": (16, 4_096)}
_EXPECTED = {int: "a whole number", bool: "true or false", str: "a text that is not empty"}
_WORDS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of the commands, each a key of dragoman.toml and a variable DRAGOMAN_NAME."""

    index: IndexPlace = Path(".dragoman")
    encoder: str | None = None  # None: the index's own
    model: str | None = None
    fallback_model: str | None = None  # asked where `model` fails
    reranker: str | None = None  # a sentence-transformers cross-encoder that orders the first passages once more
    aliases: Path | None = None  # user-defined aliases; aliases.toml here, where there is one
    k: int = 10
    passage_tokens: int | None = None  # of a new index, or with --refresh; docs/decisions/0006
    max_file_mb: int = 64
    host: str = "127.0.0.1"
    port: int = 7860
    server: ServerSettings = field(default_factory=ServerSettings)

    @property
    def folder(self) -> Path:
        """The folder of what belongs to the index and is no part of it: keys, runs, feedback."""
        return own_folder(self.index)

    @property
    def max_file_bytes(self) -> int:
        """The size of the largest file that is read."""
        return self.max_file_mb * 2**20

    @property
    def index_settings(self) -> IndexSettings | None:
        """How documents are cut and encoded; None where nothing was set."""
        from index.settings import IndexSettings

        if self.passage_tokens is None:
            return None
        longest = max(IndexSettings().max_tokens, self.passage_tokens + self.passage_tokens // 2)
        return IndexSettings(target_tokens=self.passage_tokens, max_tokens=longest)


class Setting(NamedTuple):
    """A setting, its value, and its source: a flag, a variable of the environment, dragoman.toml, or "default"."""

    name: str
    value: Any
    source: str


def load_config(**flags: Any) -> Config:
    """The session's settings; a flag that is None was not given.

    Raises:
        ValueError: dragoman.toml or a DRAGOMAN_ variable cannot be used; the message names it.
    """
    return _read(flags)[0]


def explained_config(**flags: Any) -> list[Setting]:
    """Every setting of the session, its value, and its source.

    Raises:
        ValueError: As `load_config` does.
    """
    config, sources = _read(flags)
    place = shown_place(config.index) if isinstance(config.index, str) else config.index  # without its password
    values: dict[str, Any] = {name: getattr(config, name) for name in _names(Config)} | {"index": place}
    values |= {f"server.{name}": getattr(config.server, name) for name in _names(ServerSettings)}
    for key, site in config.server.sites.items():
        own = {f"sites.{key}.{name}": getattr(site, name) for name in _names(Site)}
        values, sources = values | own, sources | dict.fromkeys(own, CONFIG_FILE)
    return [Setting(name, value, sources.get(name, "default")) for name, value in values.items()]


def _names(kind: type) -> list[str]:
    """The settings that are no tables and no keys of tables."""
    return [one.name for one in fields(kind) if one.name not in ("server", "sites", "key")]


def _read(flags: Mapping[str, Any]) -> tuple[Config, dict[str, str]]:
    """The settings, and the source of each that is not the default."""
    content = _content()
    sources: dict[str, str] = {}
    values = _values(Config, content, CONFIG_FILE, sources, variables="DRAGOMAN_")
    for name, given in flags.items():
        if given is not None:
            values[name] = as_place(given) if name == "index" else given
            sources[name] = f"--{name.replace('_', '-')}"
    if "aliases" not in values and Path(ALIASES_FILE).is_file():
        values["aliases"], sources["aliases"] = Path(ALIASES_FILE), f"{ALIASES_FILE} is here"
    where = f"{CONFIG_FILE}, [server]"
    own = _values(ServerSettings, content.get("server", {}), where, sources, variables="DRAGOMAN_SERVER_", at="server.")
    sites = {key: _site(key, table) for key, table in content.get("sites", {}).items()}
    return Config(**values, server=ServerSettings(**own, sites=sites)), sources


def _content() -> dict[str, Any]:
    path = Path(CONFIG_FILE)
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML ({error}); fix: correct or remove it") from error
    for table in ("server", "sites"):
        if not isinstance(content.get(table, {}), dict):
            raise ValueError(f"{path}: {table} is {content[table]!r}; expected: a table, as [{table}]")
    return content


def _site(key: str, table: Any) -> Site:
    where = f"{CONFIG_FILE}, [sites.{key}]"
    if not isinstance(table, dict):
        raise ValueError(f"{where} is {table!r}; expected: a table")
    values = _values(Site, table, where, {})
    missing = [one.name for one in fields(Site) if one.name not in (*values, "key") and one.default is MISSING]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    return Site(key=key, **values)


def _values(
    kind: type, table: Mapping[str, Any], where: str, sources: dict[str, str], *, variables: str = "", at: str = ""
) -> dict[str, Any]:
    """The fields of the dataclass `kind` that a table or a variable of the environment sets; `sources` is filled in."""
    names, hints = _names(kind), get_type_hints(kind)
    unknown = sorted(set(table) - {*names, *(("server", "sites") if kind is Config else ())})
    if unknown:
        raise ValueError(f"{where} has unknown keys {', '.join(unknown)}; expected: {', '.join(sorted(names))}")
    values: dict[str, Any] = {}
    for name in names:
        if name in table:
            values[name], sources[at + name] = _converted(name, hints[name], table[name], where), CONFIG_FILE
        variable = f"{variables}{name.upper()}"
        if variables and (text := os.environ.get(variable)):
            values[name] = _converted(name, hints[name], _parsed(text, hints[name]), variable)
            sources[at + name] = variable
    return values


def _parsed(text: str, kind: Any) -> Any:
    """The text of a variable as TOML would have it; as it is where it cannot be read."""
    if kind is bool:
        return _WORDS.get(text.strip().lower(), text)
    if kind in (int, int | None):
        return int(text) if text.strip().isdecimal() else text
    return [part.strip() for part in text.split(",") if part.strip()] if kind == tuple[str, ...] else text


def _converted(name: str, kind: Any, value: Any, where: str) -> Any:
    """`value` as the field's type.

    Raises:
        ValueError: It is of another type, or out of range.
    """
    if kind == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise ValueError(f"{where}: {name} is {value!r}; expected: a list of texts")
    wanted = bool if kind is bool else int if kind in (int, int | None) else str
    in_range = name not in _RANGES or (isinstance(value, int) and _RANGES[name][0] <= value <= _RANGES[name][1])
    is_empty = value == "" and (kind is not str or name == "host")
    if type(value) is not wanted or not in_range or is_empty:
        span = " from {} to {}".format(*_RANGES[name]) if name in _RANGES else ""
        raise ValueError(f"{where}: {name} is {value!r}; expected: {_EXPECTED[wanted]}{span}")
    return as_place(str(value)) if name == "index" else Path(str(value)) if kind == Path | None else value
