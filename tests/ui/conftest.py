from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain, ChainSettings
from rag.testing import HashEncoder, WordReader
from tests.ui.running import Ran
from ui.cli import main
from ui.server.app import make_app
from ui.server.settings import ServerSettings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and no DRAGOMAN_ variable."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("DRAGOMAN_"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def dragoman(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The command, run in this process."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["dragoman", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def make_client(folder: Path) -> Iterator[Callable[..., TestClient]]:
    """A function that serves the index of the module's `folder`, as if on `host`, to a client at the address `peer`."""
    opened: list[Any] = []

    def client(
        host: str = "", answerer: Any = None, peer: str = "192.0.2.7", encoder: Any = None, **given: Any
    ) -> TestClient:
        backend = EmbeddedBackend(folder)
        chain = Chain(
            backend, encoder or HashEncoder(), answerer, ChainSettings(min_relevance=0.0), reader=WordReader()
        )
        app = make_app(chain, ServerSettings(**given), with_page=False, host=host)
        url = f"http://{host or 'testserver'}"
        made = TestClient(app, base_url=url, raise_server_exceptions=False, client=(peer, 5000))
        made.__enter__()
        opened.append((made, backend))
        return made

    yield client
    for made, backend in opened:
        made.__exit__(None, None, None)
        backend.close()
