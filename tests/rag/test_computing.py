from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from index.encoders import load_encoder
from index.encoders.base import Encoder, FloatArray
from index.encoders.static import EMBEDDED, StaticEncoder
from index.errors import IndexMissing
from index.ingest import ingest
from index.processes import OtherProcess, ProcessDied
from index.rerank import Reranker
from index.search import SearchResult
from index.settings import SearchSettings
from index.store.base import EVERYTHING
from index.store.sqlite import EmbeddedBackend
from rag.answer import Answer
from rag.answerers.base import Task
from rag.answerers.extractive import ExtractiveAnswerer
from rag.answerers.sentences import Candidate
from rag.chain import Chain, ChainSettings
from rag.computing import Elsewhere, ProcessLost, Wanted
from rag.events import Event, Failed
from rag.testing import HashEncoder

QUESTIONS = (
    "예전 오픈AI 이사회 구성원 가운데 새 이사회에 그대로 남은 유일한 사람은 누구인가?",
    "When is kimchi made?",
    "¿Dónde está el telescopio?",
    "Wie hoch ist der Berg?",
)
WAIT_S = 20.0


def untimed(answer: Answer) -> Answer:
    return replace(answer, timings_ms={})


def opened(folder: Path) -> Chain:
    """What a process opens."""
    return Chain(EmbeddedBackend(folder), load_encoder("embedded"))


def missing(folder: Path) -> Chain:
    raise IndexMissing(f"{folder} is gone", "an index", "make one")


def pids(chain: Chain) -> list[int]:
    return [process.pid for process in list(chain._computing._idle.queue)]  # type: ignore[attr-defined]


def is_there(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text("utf-8").rpartition(")")[2].split()[0] != "Z"


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


# --- turns ------------------------------------------------------------------------------------------------------


class Watched(StaticEncoder):
    """Counts how many threads are in it, and stays until another has come or a moment has passed."""

    def __init__(self) -> None:
        super().__init__(EMBEDDED, "embedded")
        self.n = self.most = 0
        self._two = threading.Event()

    def encode_queries(self, texts: Any) -> FloatArray:
        self.n += 1
        self.most = max(self.most, self.n)
        if self.n > 1:
            self._two.set()
        self._two.wait(0.3)
        self.n -= 1
        return super().encode_queries(texts)


class Distant(EmbeddedBackend):
    """An index that is said to be searched by another process."""

    @property
    def is_local(self) -> bool:
        return False


@pytest.fixture
def small(tmp_path: Path, encoder: Encoder) -> Path:
    (tmp_path / "a.txt").write_text("The harbour of Kelp is grey. A boat lies in it.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.txt")], encoder, n_workers=1)
    return tmp_path / "index"


class Unmoved:
    """A reranker that leaves the order as it is."""

    name = "unmoved"

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        return [1.0 - 0.01 * i for i in range(len(texts))]


@pytest.mark.parametrize(
    ("kind", "reranker", "most"), [(EmbeddedBackend, None, 1), (Distant, None, 2), (EmbeddedBackend, Unmoved(), 2)]
)
def test_one_question_is_computed_at_a_time_unless_another_process_or_a_model_is_waited_for(
    small: Path, kind: type[EmbeddedBackend], reranker: Reranker | None, most: int
) -> None:
    encoder = Watched()
    with closing(kind(small)) as backend, ThreadPoolExecutor(2) as threads:
        chain = Chain(backend, encoder, reranker=reranker)
        found = list(threads.map(chain.retrieve, ["grey harbour", "a boat"]))
    assert all(one.passages for one in found)
    assert encoder.most == most


class Remote(HashEncoder):
    """An encoder that is waited for; two at once are let go."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2)

    def encode_queries(self, texts: Any) -> FloatArray:
        self._both.wait(WAIT_S)
        return super().encode_queries(texts)


def test_an_encoder_elsewhere_is_waited_for_beside_other_questions(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The harbour of Kelp is grey. A boat lies in it.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.txt")], HashEncoder(), n_workers=1)
    with closing(EmbeddedBackend(tmp_path / "index")) as backend, ThreadPoolExecutor(2) as threads:
        found = list(threads.map(Chain(backend, Remote()).retrieve, ["grey harbour", "a boat"]))
    assert all(one.passages for one in found)


def test_who_waits_for_a_model_keeps_nobody_from_computing(small: Path, encoder: Encoder) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def answer(self, task: Task) -> Iterator[Event]:
            begun.set()
            assert go_on.wait(WAIT_S)
            yield from ExtractiveAnswerer().answer(task)

    always = ChainSettings(min_relevance=0.0)
    with closing(EmbeddedBackend(small)) as backend, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(Chain(backend, encoder, Slow(), always).invoke, "harbour")
        assert begun.wait(WAIT_S)
        assert Chain(backend, encoder, settings=always).invoke("harbour").citations
        assert not waiting.done()
        go_on.set()
        assert waiting.result(WAIT_S).citations


# --- other processes --------------------------------------------------------------------------------------------


@contextmanager
def in_processes(folder: Path, n: int) -> Iterator[Chain]:
    chain = opened(folder).in_processes(n, partial(opened, folder))
    try:
        yield chain
    finally:
        chain.close()


def test_answers_of_other_processes_are_those_of_this_one(sample_index: Path) -> None:
    with in_processes(sample_index, 2) as chain, closing(EmbeddedBackend(sample_index)) as backend:
        here = Chain(backend, chain.encoder)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(chain.invoke, QUESTIONS * 4))
        assert list(map(untimed, answers)) == [untimed(here.invoke(question)) for question in QUESTIONS] * 4
        assert any(answer.citations for answer in answers)
        assert chain.retrieve(QUESTIONS[0], 3) == here.retrieve(QUESTIONS[0], 3)
        began = pids(chain)
        assert len(set(began)) == 2
    until(lambda: not any(map(is_there, began)))


def test_other_processes_answer_from_what_is_written_meanwhile(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "a.txt").write_text("The harbour of Kelp is grey.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.txt")], encoder, n_workers=1)
    with in_processes(tmp_path / "index", 1) as chain:
        assert "grey" in chain.retrieve("harbour of Kelp").passages[0].passage.text
        (tmp_path / "a.txt").write_text("The harbour of Kelp is yellow now.", "utf-8")
        ingest(tmp_path / "index", [str(tmp_path / "a.txt")], encoder, n_workers=1)
        assert "yellow" in chain.retrieve("harbour of Kelp").passages[0].passage.text


def test_a_process_that_is_killed_is_replaced_and_its_question_answered(sample_index: Path) -> None:
    with in_processes(sample_index, 1) as chain:
        before = untimed(chain.invoke(QUESTIONS[0]))
        (pid,) = pids(chain)
        os.kill(pid, signal.SIGKILL)
        assert untimed(chain.invoke(QUESTIONS[0])) == before
        assert pids(chain) != [pid]


class Deadly:
    """What kills its process."""

    def search(self, wanted: Wanted) -> SearchResult:
        os._exit(3)

    def rank(self, found: SearchResult) -> list[Candidate]:
        os._exit(3)

    def check_index(self) -> None:
        raise PermissionError("the index may not be read")

    def check_encoder(self) -> None:
        time.sleep(60)

    def close(self) -> None:
        pass


WANTED = Wanted("?", 1, SearchSettings(), EVERYTHING, "")


def test_a_question_that_kills_two_processes_fails_and_the_next_one_is_tried_again() -> None:
    with closing(Elsewhere(Deadly, 1)) as computing:
        for _ in range(2):
            with pytest.raises(ProcessLost, match="two processes died of this question"):
                computing.search(WANTED)


def test_an_error_of_the_system_there_is_no_death_and_says_where_it_was_raised() -> None:
    with closing(Elsewhere(Deadly, 1)) as computing:
        for _ in range(2):
            with pytest.raises(PermissionError, match="may not be read") as raised:
                computing.check_index()
            assert "in check_index" in str(raised.value.__cause__)
        (process,) = computing._idle.queue
        assert process is not None
        assert not process.has_ended


def test_a_search_that_does_not_end_is_ended_and_said() -> None:
    with closing(Elsewhere(Deadly, 1, limit_s=2)) as computing:
        with pytest.raises(ProcessLost, match="did not end within 2 s"):
            computing.check_encoder()
        with pytest.raises(PermissionError):
            computing.check_index()


def test_a_process_that_cannot_be_begun_is_begun_for_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Elsewhere(Deadly, 1)) as computing:
        begun, failed = computing._begun, []

        def begin() -> OtherProcess:
            if not failed:
                failed.append(1)
                raise BlockingIOError("no more processes")
            return begun()

        (process,) = computing._idle.queue
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: process.has_ended)
        monkeypatch.setattr(computing, "_begun", begin)
        with pytest.raises(BlockingIOError):
            computing.check_index()
        with pytest.raises(PermissionError):
            computing.check_index()


def test_who_asks_after_the_end_is_told() -> None:
    computing = Elsewhere(Deadly, 2)
    computing.close()
    computing.close()
    for _ in range(3):
        with pytest.raises(ProcessLost, match="have been ended"):
            computing.search(WANTED)


def late() -> Callable[[Any], Any]:
    def answer(message: str) -> str:
        time.sleep(3 if message == "slow" else 0)
        return message

    return answer


def test_an_answer_that_nobody_waited_for_is_never_taken_for_the_next_ones() -> None:
    process = OtherProcess(late)
    assert process.ask("first") == "first"

    def interrupt() -> None:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        process.ask("slow")
    interrupting.join()
    with pytest.raises(ProcessDied):
        process.ask("next")
    process.close()


def test_what_goes_wrong_in_another_process_is_the_last_event_here(sample_index: Path, tmp_path: Path) -> None:
    with closing(opened(sample_index).in_processes(1, partial(missing, tmp_path / "x"))) as chain:
        *_, last = chain.stream(QUESTIONS[1])
        assert isinstance(last, Failed)
        assert isinstance(last.error, IndexMissing)
        assert (last.error.expected, last.error.remedy) == ("an index", "make one")
        with pytest.raises(IndexMissing, match="is gone"):
            chain.invoke(QUESTIONS[1])


def odd() -> Callable[[Any], Any]:
    def answer(message: str) -> Any:
        if message == "raise":
            raise type("Local", (Exception,), {})("nobody else knows this class")
        return (lambda: None) if message == "give" else message

    return answer


@pytest.mark.parametrize(
    ("message", "kind", "told"),
    [
        ("raise", RuntimeError, "Local: nobody else knows this class"),
        ("give", (AttributeError, pickle.PicklingError), "pickle"),
    ],
)
def test_what_cannot_cross_over_is_told_and_the_process_lives_on(message: str, kind: Any, told: str) -> None:
    with closing(OtherProcess(odd)) as process:
        with pytest.raises(kind, match=told):
            process.ask(message)
        assert process.ask("back") == "back"


_PARENT = """
import sys, time
from functools import partial
from pathlib import Path
from tests.rag.test_computing import opened, pids
if __name__ == "__main__":
    chain = opened(Path(sys.argv[1])).in_processes(2, partial(opened, Path(sys.argv[1])))
    chain.retrieve("kimchi")
    print(*pids(chain), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="whether a process is there is told by /proc")
def test_processes_end_with_the_one_that_began_them_however_it_ends(sample_index: Path, tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(_PARENT, "utf-8")
    parent = subprocess.Popen(
        [sys.executable, str(program), str(sample_index)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert parent.stdout is not None
    began = [int(word) for word in parent.stdout.readline().split()]
    assert len(began) == 2
    assert all(map(is_there, began))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(map(is_there, began)))
