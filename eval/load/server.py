"""`dragoman serve` as a process of its own: started, waited for, weighed, stopped."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from eval.errors import ServerFailed

_READY_S = 120.0
_STOP_S = 30.0
_KB = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in bytes; of what it shares with others, `pss` counts its part alone."""

    rss: int
    pss: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    address: str
    pid: int
    ready_s: float  # from the start of its process to its being ready

    def memory(self) -> Memory:
        """What its processes have in memory now; zeros where the system does not tell."""
        rss = pss = 0
        for pid in self._pids():
            path = Path(f"/proc/{pid}/smaps_rollup")
            found = dict(_KB.findall(path.read_text("ascii"))) if path.exists() else {}
            rss, pss = rss + int(found.get("Rss", 0)) * 1024, pss + int(found.get("Pss", 0)) * 1024
        return Memory(rss, pss)

    def cpu_s(self) -> float:
        """Seconds of all cores that it has used so far: what other processes do hardly changes them."""
        ticks = 0
        for pid in self._pids():
            path = Path(f"/proc/{pid}/stat")
            if path.exists():
                ticks += sum(map(int, path.read_text("utf-8").rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def _pids(self) -> list[int]:
        """Its process, and those that it has begun."""
        begun = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                if path.read_text("utf-8").rpartition(")")[2].split()[1] == str(self.pid):
                    begun.append(int(path.parent.name))
        return [self.pid, *begun]


@contextmanager
def serving(index: Path, cwd: Path, settings: Mapping[str, str], *, with_page: bool) -> Iterator[Server]:
    """The server of an index on a free port; `cwd` holds no dragoman.toml, and `settings` are those of [server].

    Raises:
        ServerFailed: It ended before it was ready, or was not ready in time.
    """
    port = _free_port()
    command = [sys.executable, "-m", "ui.cli", "serve", "--index", str(index.absolute()), "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    environment |= {f"DRAGOMAN_SERVER_{name.upper()}": value for name, value in settings.items()}
    with (cwd / "server.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603
            command if with_page else [*command, "--no-ui"], cwd=cwd, env=environment, stdout=log, stderr=log
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(process, f"{address}/readyz", cwd / "server.log")
            yield Server(address, process.pid, time.perf_counter() - started)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + _READY_S
    with httpx.Client(trust_env=False, timeout=10) as client:
        while time.monotonic() < until:
            if process.poll() is not None:
                raise ServerFailed(f"the server ended with status {process.returncode}: {_end_of(log)}")
            try:
                if client.get(address).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.01)
    raise ServerFailed(f"the server was not ready within {_READY_S:.0f} s: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text("utf-8", "replace").strip()[-500:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
