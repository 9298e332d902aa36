"""Behind a real nginx, under a path of its own: what docs/deploying.md shows works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from index.encoders.base import Encoder
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain, ChainSettings
from rag.testing import WordReader
from tests.ui.running import free_port
from ui.server.app import make_app
from ui.server.settings import ServerSettings

DOCS = Path(__file__).parent.parent.parent / "docs" / "deploying.md"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]
QUESTION = "When did the Webb telescope leave Earth?"


@pytest.fixture
def behind_nginx(sample_backend: EmbeddedBackend, encoder: Encoder, tmp_path: Path) -> Iterator[str]:
    """Address of the server behind nginx, with the very lines that the documentation shows."""
    port, own = free_port(), free_port()
    settings = ServerSettings(root_path="/answers", trusted_proxies=("127.0.0.1",), public_anonymous=True)
    chain = Chain(sample_backend, encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader())
    app = make_app(chain, settings, with_page=False, host="127.0.0.1")
    server = uvicorn.Server(uvicorn.Config(app, port=own, log_level="critical"))
    threading.Thread(target=server.run, daemon=True).start()
    (location,) = re.findall(r"```nginx\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    location = location.replace("127.0.0.1:7860", f"127.0.0.1:{own}")
    (tmp_path / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; worker_processes 1;\n"
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;"
        f" fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
        f"server {{ listen 127.0.0.1:{port};\n{location}\n}} }}\n",
        "utf-8",
    )
    nginx = subprocess.Popen([str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")])
    address = f"http://127.0.0.1:{port}/answers"
    try:
        for _ in range(200):
            try:
                if httpx.get(f"{address}/healthz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        yield address
    finally:
        nginx.terminate()
        nginx.wait(10)
        server.should_exit = True


def test_questions_are_answered_under_the_path_whole_and_as_they_come(behind_nginx: str) -> None:
    whole = httpx.post(f"{behind_nginx}/api/v1/ask", json={"question": QUESTION}, timeout=30)
    assert whole.status_code == 200, whole.text
    assert whole.json()["abstained"] is False
    with httpx.stream(
        "POST", f"{behind_nginx}/api/v1/ask", json={"question": QUESTION, "stream": True}, timeout=30
    ) as stream:
        names = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]
    assert (names[0], names[-1]) == ("question", "done")
    assert "/api/v1/ask" in httpx.get(f"{behind_nginx}/openapi.json").json()["paths"]


def test_what_comes_through_a_proxy_is_not_taken_for_this_machine(behind_nginx: str) -> None:
    # The server listens on loopback and nginx is on it too: who asks through it is somebody else all the same.
    assert httpx.get(f"{behind_nginx}/metrics").status_code in (401, 403)
    assert httpx.get(f"{behind_nginx}/healthz").headers["x-content-type-options"] == "nosniff"
