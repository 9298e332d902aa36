"""A server at work: what it logs, how it stops, and that it keeps answering while its index changes."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from operator import gt
from pathlib import Path

import httpx
import pytest

from tests.ui.running import Served, served, shell, wait_until
from ui.server.keys import KeyFile, Scope
from ui.server.logs import JsonFormatter, TextFormatter

QUESTION = "When did the Webb telescope leave Earth?"
HOSTILE = 'a"\\\n{"level": "fake"}\r\x1b[31m\x9b2J\x7f\x85\u2028\u202e\ud800 fin'

# The sample articles, answered from by a model that takes its time or hangs after its first words, or not at all.
SERVE = """
import sys, time
from pathlib import Path
from index.store.sqlite import EmbeddedBackend
from index.encoders import load_encoder
from rag.answerers.generative import GenerativeAnswerer
from rag.chain import Chain, ChainSettings
from rag.testing import ScriptedChatModel, WordReader
from ui.config import load_config
from ui.server.app import make_app
from ui.server.run import serve

port, index, kind = sys.argv[1:]

class Failing:
    def answer(self, task):
        raise RuntimeError(task.question)

def said(keys):
    for number in range(1, 11):
        yield f"Piece {number} of it [{keys[0]}]. "
        time.sleep(120 if kind == "hanging" and number == 2 else 0.2)

chain = Chain(
    EmbeddedBackend(Path(index)),
    load_encoder("embedded"),
    Failing() if kind == "failing" else GenerativeAnswerer(ScriptedChatModel(script=said)),
    ChainSettings(min_relevance=0.0), reader=WordReader())
settings = load_config().server
serve(make_app(chain, settings, with_page=False, host="127.0.0.1"), "127.0.0.1", int(port), settings)
"""


# --- the form of a line --------------------------------------------------------------------------------------


def record(message: str, *args: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("dragoman.x", logging.WARNING, __file__, 1, message, args, None)
    made.created = 1_000_000_000.25  # 2001-09-09 01:46:40 UTC, and a quarter of a second
    vars(made).update(more)
    return made


def test_a_line_has_time_level_logger_message_and_the_fields_of_its_record() -> None:
    made = record("n is %d", 3, fields={"bytes": 20, "key": "web"})
    line = {"time": "2001-09-09T01:46:40.250Z", "level": "warning", "logger": "dragoman.x", "message": "n is 3"}
    assert json.loads(JsonFormatter().format(made)) == {**line, "bytes": 20, "key": "web"}
    assert TextFormatter().format(made) == "2001-09-09T01:46:40.250Z WARNING dragoman.x: n is 3 bytes=20 key=web"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_nothing_that_is_logged_ends_a_line_or_steers_a_terminal(formatter: logging.Formatter) -> None:
    line = formatter.format(record("%s", HOSTILE, fields={"site": HOSTILE}))
    assert line.isprintable()  # no control, separator, direction or half character
    assert "[31m" in line
    if isinstance(formatter, JsonFormatter):
        told = json.loads(line)
        assert (told["message"], told["site"], told["level"]) == (HOSTILE, HOSTILE, "warning")


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_an_error_is_told_by_its_kind_and_place_without_its_words(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("what somebody asked")
    except ValueError:
        line = formatter.format(record("Task failed\nfuture: what somebody asked", exc_info=sys.exc_info()))
    assert "Task failed ValueError at" in line
    assert "test_operation.py" in line
    assert "somebody" not in line


# --- the log of a session ------------------------------------------------------------------------------------


def ask(server: Served, **more: object) -> httpx.Response:
    headers = more.pop("headers", {})
    body = {"question": QUESTION, **more}
    return httpx.post(f"{server.address}/api/v1/ask", json=body, headers=headers, timeout=60, trust_env=False)


def requests_of(server: Served) -> list[dict[str, object]]:
    lines = [line for line in server.told_json if line["logger"] == "dragoman.requests"]
    return [line for line in lines if line["route"] != "/readyz"]


def test_each_request_has_one_line_that_tells_all_but_what_was_asked_and_the_key(
    sample_index: Path, tmp_path: Path
) -> None:
    key_file = KeyFile(sample_index)
    token = key_file.add("web", [Scope.ASK])
    bearer = {"Authorization": f"Bearer {token}"}
    try:
        with served(tmp_path / "here", "--no-ui", "--index", sample_index, settings={"log_format": "json"}) as server:
            before = datetime.now(UTC)
            whole = ask(server, headers=bearer | {"X-Request-ID": "trace-7.a"})
            streamed = ask(server, headers=bearer | {"X-Request-ID": "two words"}, stream=True)
            wrong = ask(server, headers=bearer, k="swordfish", filter={"since": "swordfish"})
            denied = ask(server, headers={"Authorization": "Bearer dk_swordfish"})
            lost = httpx.get(f"{server.address}/swordfish?question=swordfish", headers=bearer, trust_env=False)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
            lines, told = requests_of(server), server.told
    finally:
        key_file.remove("web")
    assert [answer.status_code for answer in (whole, streamed, wrong, denied, lost)] == [200, 200, 422, 401, 404]
    assert [line["message"] for line in lines] == [
        "POST /api/v1/ask 200",
        "POST /api/v1/ask 200",
        "POST /api/v1/ask 422",
        "POST other 401",
        "GET other 404",
    ]
    answers = (whole, streamed, wrong, denied, lost)
    assert [line["bytes"] for line in lines] == [len(answer.content) for answer in answers]
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"] for answer in answers]
    assert lines[0]["request_id"] == "trace-7.a"
    assert len({str(line["request_id"]) for line in lines}) == 5
    assert all(len(str(line["request_id"])) == 32 for line in lines[1:])  # made: what was sent is no id
    assert [line.get("key") for line in lines] == ["web", "web", "web", None, "web"]
    assert [(line.get("language"), line.get("abstained")) for line in lines] == [("en", False)] * 2 + [(None, None)] * 3
    for line in lines:
        assert "cut" not in line and line["message"] == f"{line['method']} {line['route']} {line['status']}"
        ended = datetime.fromisoformat(str(line["time"]))
        assert before <= ended <= datetime.now(UTC)
        assert 0 < float(str(line["duration_ms"])) < (ended - before).total_seconds() * 1000 + 5
    for secret in (QUESTION, "Webb", "swordfish", token, token[3:]):
        assert secret not in told


def test_a_failed_answer_is_told_under_its_requests_id_without_the_question(sample_index: Path, tmp_path: Path) -> None:
    with served(tmp_path / "here", sample_index, "failing", code=SERVE, settings={"log_format": "json"}) as server:
        streamed = ask(server, headers={"X-Request-ID": "one"}, stream=True)
        whole = ask(server, headers={"X-Request-ID": "two"})
        server.process.send_signal(signal.SIGTERM)  # the line of a request comes after its response
        assert server.process.wait(30) == 0
        lines, told, everything = requests_of(server), server.told_json, server.told
    assert "event: error" in streamed.text
    assert (streamed.status_code, whole.status_code) == (200, 500)
    assert [(line["request_id"], line["status"], line["level"], line["failed"]) for line in lines] == [
        ("one", 200, "info", "internal"),
        ("two", 500, "warning", "internal"),
    ]
    faults = [line for line in told if line["level"] == "error"]
    assert [line["request_id"] for line in faults] == ["one", "two"]
    assert all("RuntimeError at" in line["message"] for line in faults)
    assert "Webb" not in everything
    assert "Traceback" not in everything


# --- stopping ------------------------------------------------------------------------------------------------


class Reader(threading.Thread):
    """Reads the events of one question."""

    def __init__(self, server: Served) -> None:
        super().__init__(daemon=True)
        self.address, self.names, self.data, self.broken = server.address, [], [], ""
        self.began = threading.Event()
        self.start()

    def run(self) -> None:
        body = {"question": QUESTION, "stream": True}
        try:
            with httpx.stream("POST", f"{self.address}/api/v1/ask", json=body, timeout=60, trust_env=False) as stream:
                for line in stream.iter_lines():
                    if line.startswith("event: "):
                        self.names.append(line.removeprefix("event: "))
                    elif line.startswith("data: "):
                        self.data.append(json.loads(line.removeprefix("data: ")))
                    if self.names[-1:] == ["delta"]:
                        self.began.set()
        except httpx.TransportError as error:
            self.broken = type(error).__name__
        self.began.set()


def is_closed(server: Served) -> bool:
    """Whether the server takes no more connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(server.address.rpartition(":")[2]))) == errno.ECONNREFUSED


@pytest.fixture
def reading(
    sample_index: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Served, list[Reader]]]:
    """A server of a kind of model and a grace, and three who are in the middle of its answers."""
    kind, grace_s = request.param
    settings = {"stop_grace_s": grace_s, "log_format": "json"}
    with served(tmp_path / "here", sample_index, kind, code=SERVE, settings=settings) as server:
        readers = [Reader(server) for _ in range(3)]
        assert all(reader.began.wait(30) for reader in readers)
        yield server, readers


@pytest.mark.parametrize("reading", [("slow", 30)], indirect=True)
def test_a_stop_lets_running_answers_end_and_takes_no_more(reading: tuple[Served, list[Reader]]) -> None:
    server, readers = reading
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: is_closed(server))
    assert any(reader.is_alive() for reader in readers)
    assert server.process.wait(30) == 0
    for reader in readers:
        reader.join(5)
        assert (reader.names[0], reader.names[-1], reader.broken) == ("question", "done", "")
        assert "Piece 10 of it" in reader.data[-1]["answer"]
    assert "Traceback" not in server.told


@pytest.mark.parametrize("reading", [("hanging", 1), ("hanging", 100)], indirect=True)
def test_an_answer_is_cut_after_the_grace_and_at_once_by_a_second_interrupt(
    reading: tuple[Served, list[Reader]], request: pytest.FixtureRequest
) -> None:
    server, readers = reading
    server.process.send_signal(signal.SIGINT)
    if request.node.callspec.params["reading"] == ("hanging", 100):
        wait_until(lambda: is_closed(server))
        server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0  # the model would have taken 120 s
    for reader in readers:
        reader.join(60)
        assert reader.names[-1] != "done"


def test_several_workers_serve_the_same_index_and_end_together(sample_index: Path, tmp_path: Path) -> None:
    settings = {"log_format": "json"}
    with served(tmp_path / "here", "--no-ui", "--index", sample_index, "--workers", 2, settings=settings) as server:
        answers = [ask(server).json() for _ in range(4)]
        assert len({json.dumps({**answer, "timings_ms": {}}) for answer in answers}) == 1
        assert answers[0]["citations"]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        with pytest.raises(httpx.TransportError):
            ask(server)
    assert "Traceback" not in server.told
    assert len(requests_of(server)) == 4


@pytest.mark.slow
def test_a_page_that_is_open_does_not_hold_up_a_stop(sample_index: Path, tmp_path: Path) -> None:
    with (
        served(tmp_path / "here", "--index", sample_index, settings={"stop_grace_s": 600}) as server,
        httpx.Client(base_url=server.address, timeout=30, trust_env=False) as client,
        client.stream("GET", "/gradio_api/heartbeat/abc") as heartbeat,
    ):
        assert heartbeat.status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0  # the grace is longer
        assert "Traceback" not in server.told


# --- an index that changes -----------------------------------------------------------------------------------

N_NEW = 200
N_CLIENTS = 8
NEW_QUESTION = "How many lamps has the lighthouse of Kelpworth?"


class Client(threading.Thread):
    """Asks one question after the other until it is told to end, by stream and as a whole in turn."""

    def __init__(self, address: str, end: threading.Event) -> None:
        super().__init__(daemon=True)
        self.address, self.end, self.n_answers, self.failures = address, end, 0, []
        self.start()

    def run(self) -> None:
        with httpx.Client(base_url=self.address, timeout=60, trust_env=False) as client:
            while not self.end.is_set():
                for stream in (False, True):
                    answer = client.post("/api/v1/ask", json={"question": QUESTION, "stream": stream})
                    whole = "event: done" in answer.text if stream else answer.json().get("abstained") is False
                    if answer.status_code == 200 and whole:
                        self.n_answers += 1
                    else:
                        self.failures.append((answer.status_code, answer.text[-500:]))


def sources_found(server: Served, question: str) -> list[str]:
    body = {"question": question, "k": 3}
    found = httpx.post(f"{server.address}/api/v1/search", json=body, timeout=60, trust_env=False).json()
    return [Path(result["source"]).name for result in found["results"]]


@pytest.mark.slow
def test_no_question_fails_while_another_process_adds_and_removes(sample_index: Path, tmp_path: Path) -> None:
    index, folder = tmp_path / "index", tmp_path / "new"
    shutil.copytree(sample_index, index)
    folder.mkdir()
    for number in range(N_NEW):
        text = f"The harbour of Port Number {number} has {number} cranes and was opened in {1700 + number}. " * 3
        (folder / f"port-{number}.txt").write_text(text, "utf-8")
    (folder / "kelpworth.txt").write_text("The lighthouse of Kelpworth has 41 lamps. Its keeper is Ada Brill.", "utf-8")
    settings = {"per_minute": 10**6, "max_wait_s": 60}
    with served(tmp_path / "here", "--no-ui", "--index", index, settings=settings) as server:
        assert "kelpworth.txt" not in sources_found(server, NEW_QUESTION)
        end = threading.Event()
        clients = [Client(server.address, end) for _ in range(N_CLIENTS)]
        added = shell("index", folder, "--index", index, "--json")
        assert (added.code, added.json["added"]) == (0, N_NEW + 1), added.err
        wait_until(lambda: sources_found(server, NEW_QUESTION)[0] == "kelpworth.txt")
        gone = [folder / "kelpworth.txt", *(folder / f"port-{number}.txt" for number in range(100))]
        removed = shell("remove", *gone, "--index", index, "--json")
        assert (removed.code, removed.json["removed"]) == (0, 101), removed.err
        wait_until(lambda: "kelpworth.txt" not in sources_found(server, NEW_QUESTION))
        n_before = [client.n_answers for client in clients]
        wait_until(lambda: all(map(gt, [client.n_answers for client in clients], n_before)))
        end.set()
        for client in clients:
            client.join(60)
        assert "Traceback" not in server.told
    assert [client.failures for client in clients] == [[]] * N_CLIENTS
    assert all(client.n_answers for client in clients)
