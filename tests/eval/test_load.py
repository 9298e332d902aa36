"""Users who ask at once: what is timed and counted, and the command on a small world."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import pytest

from eval.load.__main__ import main
from eval.load.corpus import articles, questions
from eval.load.users import ask_all

PAUSE_S = 0.1  # between the events of an answer


class Answering(BaseHTTPRequestHandler):
    """Answers with a pause before each event after the first; `busy` is refused, `broken` ends with an error."""

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))["question"]
        self.send_response(503 if question == "busy" else 200)
        self.end_headers()
        last = {"broken": ["error"], "short": []}.get(question, ["passages", "delta", "delta", "done"])
        for name in ["question", *last]:
            self.wfile.write(f"event: {name}\ndata: {{}}\n\n".encode())
            self.wfile.flush()
            time.sleep(PAUSE_S)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "dev" / "xquad"
    folder.mkdir(parents=True)
    told = {"en": "The lighthouse was opened in the year {i}.", "ko": "등대는 {i}년에 처음으로 문을 열었다."}
    for language, text in told.items():
        paragraphs = [
            {"context": text.format(i=1800 + i), "qas": [{"question": f"{language} {i // 2}?", "answers": []}]}
            for i in range(60)
        ]
        (folder / f"xquad.{language}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")
    return tmp_path / "data"


def test_times_are_those_of_the_first_event_of_each_kind(address: str) -> None:
    level = ask_all(address, ["a", "b", "c", "d"], 2)
    assert (level.n_users, level.n_answers, level.errors) == (2, 4, {})
    # Events come after 0, 1, 2 and 4 pauses, and the connection is let go after 5; each user asks twice.
    for event, n_pauses in {"question": 0, "passages": 1, "delta": 2, "done": 4}.items():
        assert level.p50_ms[event] >= n_pauses * PAUSE_S * 1000
    assert level.p50_ms["question"] < level.p50_ms["passages"] < level.p50_ms["delta"] < level.p50_ms["done"]
    assert level.seconds >= 2 * 4 * PAUSE_S
    assert level.answers_per_s == pytest.approx(4 / level.seconds, rel=0.02)


def test_what_was_not_answered_is_counted_by_what_went_wrong(address: str) -> None:
    level = ask_all(address, ["a", "busy", "broken", "short", "busy"], 5)
    assert (level.n_answers, level.errors) == (1, {"503": 2, "error": 1, "no end": 1})
    gone = ask_all("http://127.0.0.1:9", ["a"], 1)
    assert (gone.n_answers, gone.errors, gone.p50_ms) == (0, {"ConnectError": 1}, {})


def test_no_question_is_asked_twice_and_articles_are_as_published(data: Path) -> None:
    asked = questions(data)
    assert sorted(asked) == sorted({f"{language} {i}?" for language in ("en", "ko") for i in range(30)})
    assert asked == questions(data)
    assert next(islice(articles(data), 1)) == {
        "id": "xquad-en-0",
        "text": "The lighthouse was opened in the year 1800.",
        "lang": "en",
    }


@pytest.mark.slow
def test_the_command_serves_an_index_and_tells_what_users_got(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows_at = tmp_path / "rows.jsonl"
    small = ["--passages", "20", "--users", "1", "2", "--answers", "6", "--starts", "1"]
    assert main(["--data", str(data), "--jsonl", str(rows_at), *small]) == 0
    without, with_page, one, two = (json.loads(line) for line in rows_at.read_text("utf-8").splitlines())
    assert (without["with_page"], with_page["with_page"]) == (False, True)
    assert without["articles"]["xquad"] == 120
    assert 0 < without["ready_s"] < with_page["ready_s"]
    for level, n_users in ((one, 1), (two, 2)):
        assert (level["n_users"], level["n_answers"], level["errors"]) == (n_users, 6, {})
        assert 10 * 2**20 < level["pss"] <= level["rss"]
        assert level["cpu_ms_per_answer"] > 0
    assert "answers/s" in capsys.readouterr().out
    assert main(["--data", str(tmp_path)]) == 1
    assert "no xquad.*.json" in capsys.readouterr().err
    assert main(["--data", str(data), "--passages", "20", "--answers", "30", "--users", "1", "--starts", "0"]) == 1
    assert "there are 60 different questions" in capsys.readouterr().err
