"""Settings of a session: flags over environment over dragoman.toml over defaults, read in one place."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from index.store import as_place, own_folder, shown_place
from index.store.base import IndexPlace
from ui.server.settings import ServerSettings, Settings

if TYPE_CHECKING:
    from index.settings import IndexSettings

CONFIG_FILE = "dragoman.toml"
ALIASES_FILE = "aliases.toml"


def _place(value: Any) -> Any:
    """Where an index is, as a user writes it."""
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("expected: a folder, or the address of a database")
    return as_place(value)


_Name = Annotated[str, Field(min_length=1)]


class Config(Settings):
    """The settings of the commands, each a key of dragoman.toml and a variable DRAGOMAN_NAME."""

    index: Annotated[IndexPlace, BeforeValidator(_place)] = Path(".dragoman")
    encoder: _Name | None = None  # None: the index's own
    model: _Name | None = None
    fallback_model: _Name | None = None  # asked where `model` fails
    reranker: _Name | None = None  # a sentence-transformers cross-encoder that orders the first passages once more
    aliases: Path | None = None  # user-defined aliases; aliases.toml here, where there is one
    k: Annotated[int, Field(ge=1, le=1_000)] = 10
    # Of a new index, or with --refresh; docs/decisions/0006
    passage_tokens: Annotated[int, Field(ge=16, le=4_096)] | None = None
    max_file_mb: Annotated[int, Field(ge=1, le=2**20)] = 64
    host: _Name = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 7860
    server: ServerSettings = ServerSettings()

    @property
    def folder(self) -> Path:
        """The folder of what belongs to the index and is no part of it: keys, runs, feedback."""
        return own_folder(self.index)

    @property
    def index_settings(self) -> IndexSettings | None:
        """How documents are cut and encoded; None where nothing was set."""
        from index.settings import IndexSettings

        if self.passage_tokens is None:
            return None
        longest = max(IndexSettings().max_tokens, self.passage_tokens + self.passage_tokens // 2)
        return IndexSettings(target_tokens=self.passage_tokens, max_tokens=longest)


def load_config(**flags: Any) -> Config:
    """The session's settings; a flag that is None was not given.

    Raises:
        ValueError: dragoman.toml, a DRAGOMAN_ variable or a flag cannot be used; the message names it.
    """
    return _read(flags)[0]


def explained_config(**flags: Any) -> dict[str, tuple[Any, str]]:
    """Every setting by name, with its value and source: a flag, a DRAGOMAN_ variable, dragoman.toml, or "default"."""
    config, sources = _read(flags)
    values = dict(_flat(config.model_dump()))
    if isinstance(config.index, str):
        values["index"] = shown_place(config.index)  # without its password
    return {name: (value, sources.get(name, "default")) for name, value in values.items()}


def _read(flags: dict[str, Any]) -> tuple[Config, dict[str, str]]:
    """The settings, and the source of each that is not the default."""
    values = _content()
    sources = {name: CONFIG_FILE for name, _ in _flat(values)}
    server = values.get("server")
    for kind, table, at in ((Config, values, ""), (ServerSettings, server, "server.")):
        for name in kind.model_fields.keys() - {"server", "sites"}:
            variable = f"DRAGOMAN_{at.upper().replace('.', '_')}{name.upper()}"
            if isinstance(table, dict) and (text := os.environ.get(variable)):
                table[name], sources[at + name] = text, variable
    for name, given in flags.items():
        if given is not None:
            values[name], sources[name] = given, f"--{name.replace('_', '-')}"
    if "aliases" not in values and Path(ALIASES_FILE).is_file():
        values["aliases"], sources["aliases"] = ALIASES_FILE, f"{ALIASES_FILE} is here"
    try:
        return Config.model_validate(values), sources
    except ValidationError as error:
        fault = error.errors()[0]
        name, said = _name(".".join(map(str, fault["loc"]))), fault["msg"].removeprefix("Value error, ")
        raise ValueError(f"{sources.get(name, CONFIG_FILE)}: {name}: {said}") from None


def _content() -> dict[str, Any]:
    """The file's tables; the sites belong to the server."""
    path = Path(CONFIG_FILE)
    if not path.is_file():
        return {"server": {}}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML ({error}); fix: correct or remove it") from error
    server = content.setdefault("server", {})
    if isinstance(server, dict) and "sites" in content:
        server["sites"] = content.pop("sites")
    return content


def _flat(table: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a table and of the tables in it, by name."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{at}{name}.")
        else:
            yield _name(at + name), value


def _name(name: str) -> str:
    """The sites have a table of their own in the file."""
    return name.removeprefix("server.") if name.startswith("server.sites") else name
