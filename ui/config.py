"""Settings of a session: flags over environment over dragoman.toml over defaults, read in one place."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from index.encoders import DEFAULT_ENCODER
from index.store import as_place, own_folder, shown_place
from index.store.base import IndexPlace
from ui.server.settings import ServerSettings, Site

CONFIG_FILE = "dragoman.toml"
ALIASES_FILE = "aliases.toml"
_GREATEST = {"k": 1_000, "port": 65_535, "max_file_mb": 2**20}  # of the settings that are numbers
_TABLES = ("server", "sites")  # of dragoman.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the commands use; `encoder` is None where the index decides."""

    index: IndexPlace = Path(".dragoman")
    encoder: str | None = None
    model: str | None = None
    fallback_model: str | None = None
    judge: str | None = None
    reranker: str | None = None
    aliases: Path | None = None  # names that are one; aliases.toml here, where there is one
    k: int = 10
    host: str = "127.0.0.1"
    port: int = 7860
    max_file_mb: int = 64
    server: ServerSettings = field(default_factory=ServerSettings)

    @property
    def folder(self) -> Path:
        """Where what belongs to the index and is no part of it lies."""
        return own_folder(self.index)

    @property
    def new_encoder(self) -> str:
        """Name of the encoder for a new index."""
        return self.encoder or DEFAULT_ENCODER


class Setting(NamedTuple):
    """A setting as it holds, and who said so."""

    name: str
    value: Any
    source: str  # a flag, a variable of the environment, dragoman.toml, or "default"


def load_config(**flags: Any) -> Config:
    """The session's settings; a flag that is None was not given.

    Raises:
        ValueError: dragoman.toml or a DRAGOMAN_ variable cannot be used; the message names it.
    """
    return _read(flags)[0]


def explained_config(**flags: Any) -> list[Setting]:
    """Every setting of the session, its value, and where that comes from.

    Raises:
        ValueError: As `load_config` does.
    """
    config, sources = _read(flags)
    values = {one.name: getattr(config, one.name) for one in fields(Config)}
    if isinstance(config.index, str):
        values["index"] = shown_place(config.index)  # without its password
    shown = [
        Setting(one.name, values[one.name], sources.get(one.name, "default"))
        for one in fields(Config)
        if one.name != "server"
    ]
    for one in fields(ServerSettings):
        if one.name != "sites":
            name = f"server.{one.name}"
            shown.append(Setting(name, getattr(config.server, one.name), sources.get(name, "default")))
    for key, site in config.server.sites.items():
        shown += [
            Setting(f"sites.{key}.{one.name}", getattr(site, one.name), CONFIG_FILE)
            for one in fields(Site)
            if one.name != "key"
        ]
    return shown


def _read(flags: Mapping[str, Any]) -> tuple[Config, dict[str, str]]:
    """The settings, and the source of each that is not the default."""
    content = _content()
    known = [one.name for one in fields(Config) if one.name != "server"]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name in known:
        if name in content:
            values[name], sources[name] = _convert(name, content[name], CONFIG_FILE), CONFIG_FILE
        variable = f"DRAGOMAN_{name.upper()}"
        if os.environ.get(variable):
            values[name], sources[name] = _convert(name, os.environ[variable], variable), variable
        if flags.get(name) is not None:
            values[name] = as_place(flags[name]) if name == "index" else flags[name]
            sources[name] = f"--{name.replace('_', '-')}"
    if "aliases" not in values and Path(ALIASES_FILE).is_file():
        values["aliases"], sources["aliases"] = Path(ALIASES_FILE), f"{ALIASES_FILE} is here"
    values["server"] = _server(content, sources)
    return Config(**values), sources


def _content() -> dict[str, Any]:
    path = Path(CONFIG_FILE)
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML ({error}); to mend: correct or remove it") from error
    known = {one.name for one in fields(Config)} | set(_TABLES)
    _check_known(content, known, CONFIG_FILE)
    for table in _TABLES:
        if not isinstance(content.get(table, {}), dict):
            raise ValueError(f"{path}: {table} is {content[table]!r}; expected: a table, as [{table}]")
    return content


def _server(content: Mapping[str, Any], sources: dict[str, str]) -> ServerSettings:
    """The table [server], its variables DRAGOMAN_SERVER_..., and the tables [sites.KEY]."""
    table = content.get("server", {})
    hints = get_type_hints(ServerSettings)
    own = [one for one in fields(ServerSettings) if one.name != "sites"]
    _check_known(table, {one.name for one in own}, f"{CONFIG_FILE}, [server]")
    values: dict[str, Any] = {}
    for one in own:
        name, variable = f"server.{one.name}", f"DRAGOMAN_SERVER_{one.name.upper()}"
        if one.name in table:
            values[one.name] = _of_kind(one, hints, table[one.name], f"{CONFIG_FILE}, [server]")
            sources[name] = CONFIG_FILE
        if os.environ.get(variable):
            values[one.name] = _of_kind(one, hints, _split(os.environ[variable], hints[one.name]), variable)
            sources[name] = variable
    sites = {key: _site(key, table) for key, table in content.get("sites", {}).items()}
    return ServerSettings(**values, sites=sites)


def _site(key: str, table: Any) -> Site:
    where = f"{CONFIG_FILE}, [sites.{key}]"
    if not isinstance(table, dict):
        raise ValueError(f"{where} is {table!r}; expected: a table")
    own = [one for one in fields(Site) if one.name != "key"]
    _check_known(table, {one.name for one in own}, where)
    missing = [one.name for one in own if one.default is MISSING and one.name not in table]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    hints = get_type_hints(Site)
    return Site(key=key, **{one.name: _of_kind(one, hints, table[one.name], where) for one in own if one.name in table})


def _check_known(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(key for key in table if key not in known)
    if unknown:
        raise ValueError(f"{where} has unknown keys {', '.join(unknown)}; expected: {', '.join(sorted(known))}")


def _split(text: str, kind: Any) -> Any:
    """A variable's text as TOML would have it."""
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower(), text)
    if kind is int:
        return int(text) if text.strip().isdecimal() else text
    return [part.strip() for part in text.split(",") if part.strip()] if kind == tuple[str, ...] else text


def _of_kind(one: Field[Any], hints: Mapping[str, Any], value: Any, where: str) -> Any:
    """`value` where it is of the field's kind."""
    kind = hints[one.name]
    if kind == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise ValueError(f"{where}: {one.name} is {value!r}; expected: a list of texts")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        expected = {int: "a whole number", bool: "true or false", str: "a text"}[kind]
        raise ValueError(f"{where}: {one.name} is {value!r}; expected: {expected}")
    return value


def _convert(name: str, value: Any, where: str) -> Any:
    greatest = _GREATEST.get(name)
    if greatest is None:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where}: {name} is {value!r}; expected: a text that is not empty")
        return as_place(value) if name == "index" else Path(value) if name == "aliases" else value
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= greatest:
        raise ValueError(f"{where}: {name} is {value!r}; expected: a whole number from 1 to {greatest}")
    return number
