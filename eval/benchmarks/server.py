"""`dragoman serve` as a process of its own, and users who ask it at once."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from eval.errors import ServerFailed

_READY_S = 120.0
_ANSWER_S = 120.0
_STOP_S = 30.0


@contextmanager
def serving(index: Path, cwd: Path) -> Iterator[str]:
    """The address of a server of `index` on a free port, ready; `cwd` holds no dragoman.toml.

    Raises:
        ServerFailed: It ended before it was ready, or was not ready in time.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = ("-m", "ui.cli", "serve", "--index", str(index.absolute()), "--port", str(port), "--no-ui")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    environment["DRAGOMAN_SERVER_PER_MINUTE"] = "1000000"  # all users come from one address
    log = cwd / "server.log"
    with log.open("wb") as opened:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, *command], cwd=cwd, env=environment, stdout=opened, stderr=opened
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(process, f"{address}/readyz", log)
            yield address
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
        while time.monotonic() < until and process.poll() is None:
            try:
                if client.get(address).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.01)
    end = log.read_text("utf-8", "replace").strip()[-500:]
    raise ServerFailed(f"the server ended with status {process.poll()}, or was not ready in {_READY_S:.0f} s: {end}")


def ask_all(address: str, questions: Sequence[str], n_users: int) -> list[float]:
    """Have `n_users` ask until no question is left, each again at once; milliseconds of those that were answered."""
    return asyncio.run(_ask_all(address, questions, n_users))


async def _ask_all(address: str, questions: Sequence[str], n_users: int) -> list[float]:
    coming = iter(questions)
    async with httpx.AsyncClient(base_url=address, timeout=_ANSWER_S, trust_env=False) as client:
        found = await asyncio.gather(*(_user(client, coming) for _ in range(n_users)))
    return [ms for own in found for ms in own]


async def _user(client: httpx.AsyncClient, coming: Iterator[str]) -> list[float]:
    times = []
    for question in coming:
        started = time.perf_counter()
        try:
            response = await client.post("/api/v1/ask", json={"question": question})
        except httpx.HTTPError:
            continue
        if response.status_code == 200:
            times.append((time.perf_counter() - started) * 1000)
    return times
