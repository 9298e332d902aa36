"""Commands about who may use a server: key add, key list, key remove."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.commands.options import IndexOption, JsonOption
from ui.config import load_config
from ui.server.keys import KeyFile, Scope
from ui.terminal import out, say

ScopeOption = Annotated[
    list[Scope], typer.Option("--scope", help="ask, ingest (add and remove documents) or admin; may be repeated.")
]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="What you know it by; the server logs it.")]


def add(name: NameOption, scope: ScopeOption, index: IndexOption = None, as_json: JsonOption = False) -> None:
    """Make a key for the HTTP API, and show it: this once, it is not kept."""
    token = KeyFile(load_config(index=index).folder).add(name, scope)
    out({"name": name, "scopes": sorted(set(scope)), "key": token}, as_json, token)
    say(f"the key {name} is shown this once; send it as: Authorization: Bearer {token[:6]}...")


def list_keys(index: IndexOption = None, as_json: JsonOption = False) -> None:
    """Show the names of the keys, and what each may do."""
    keys = KeyFile(load_config(index=index).folder).all()
    shown = [{"name": k.name, "scopes": list(k.scopes), "created": k.created, "disabled": k.disabled} for k in keys]
    lines = [
        f"{key.name:20} {','.join(key.scopes):18} {key.created}{'  disabled' if key.disabled else ''}" for key in keys
    ]
    out({"keys": shown}, as_json, "\n".join(lines) or "there are no keys")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As key list shows it.")], index: IndexOption = None
) -> None:
    """Remove a key for good; a running server refuses it from its next request on."""
    KeyFile(load_config(index=index).folder).remove(name)
    say(f"removed the key {name}")
