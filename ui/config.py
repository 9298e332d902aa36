"""Settings of a session: flags over environment over dragoman.toml over defaults, read in one place."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from index.encoders import DEFAULT_ENCODER

CONFIG_FILE = "dragoman.toml"
ALIASES_FILE = "aliases.toml"
_GREATEST = {"k": 1_000, "port": 65_535, "max_file_mb": 2**20}  # of the settings that are numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the commands use; `encoder` is None where the index decides."""

    index: Path = Path(".dragoman")
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

    @property
    def new_encoder(self) -> str:
        """Name of the encoder for a new index."""
        return self.encoder or DEFAULT_ENCODER


def load_config(**flags: Any) -> Config:
    """The session's settings; a flag that is None was not given.

    Raises:
        ValueError: dragoman.toml or a DRAGOMAN_ variable cannot be used; the message names it.
    """
    known = {field.name for field in fields(Config)}
    values = _from_file(known)
    for name in known:
        text = os.environ.get(f"DRAGOMAN_{name.upper()}")
        if text:
            values[name] = _convert(name, text, f"DRAGOMAN_{name.upper()}")
    values |= {name: value for name, value in flags.items() if value is not None}
    if "aliases" not in values and Path(ALIASES_FILE).is_file():
        values["aliases"] = Path(ALIASES_FILE)
    return Config(**values)


def _from_file(known: set[str]) -> dict[str, Any]:
    path = Path(CONFIG_FILE)
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML ({error}); to mend: correct or remove it") from error
    unknown = sorted(key for key in content if key not in known)
    if unknown:
        raise ValueError(f"{path} has unknown keys {', '.join(unknown)}; expected: {', '.join(sorted(known))}")
    return {name: _convert(name, value, str(path)) for name, value in content.items()}


def _convert(name: str, value: Any, where: str) -> Any:
    greatest = _GREATEST.get(name)
    if greatest is None:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where}: {name} is {value!r}; expected: a text that is not empty")
        return Path(value) if name in ("index", "aliases") else value
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= greatest:
        raise ValueError(f"{where}: {name} is {value!r}; expected: a whole number from 1 to {greatest}")
    return number
