"""A model's answer as a stream that ends in time, whatever the model does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage

from rag.answerers.models import ModelLimits, stream_text
from rag.errors import ModelFailed
from rag.testing import ScriptedChatModel

MESSAGES = [HumanMessage("?")]


class Slow(ScriptedChatModel):
    """Waits before each piece, and tells when its stream has been closed."""

    pauses: list[float]
    closed: Any = None

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Iterator[AIMessageChunk]:
        self.calls.append(list(input))
        try:
            for number, pause in enumerate(self.pauses):
                time.sleep(pause)
                yield AIMessageChunk(f"{number} ")
        finally:
            if self.closed is not None:
                self.closed.set()


def slow(*pauses: float) -> Slow:
    return Slow(script=[], pauses=list(pauses), closed=threading.Event())


def test_a_model_that_says_nothing_for_too_long_is_left() -> None:
    limits = ModelLimits(piece_timeout_s=0.1, total_timeout_s=600.0)
    pieces = stream_text(slow(0.0, 30.0), MESSAGES, limits)
    assert next(pieces) == "0 "
    with pytest.raises(ModelFailed, match=r"said nothing for 0\.1 s"):
        next(pieces)


def test_a_model_that_goes_on_for_too_long_is_left_and_not_asked_again() -> None:
    model = slow(*[0.05] * 1_000)
    limits = ModelLimits(piece_timeout_s=600.0, total_timeout_s=0.3)
    with pytest.raises(ModelFailed, match=r"not done after 0\.3 s"):
        list(stream_text(model, MESSAGES, limits))
    assert len(model.calls) == 1


def test_closing_the_stream_frees_the_model_call() -> None:
    model = slow(*[0.02] * 1_000)
    pieces = stream_text(model, MESSAGES, ModelLimits())
    next(pieces)
    assert not model.closed.is_set()
    pieces.close()  # type: ignore[attr-defined]
    assert model.closed.wait(60.0)


def test_no_retry_is_begun_that_could_not_end_in_time() -> None:
    model = ScriptedChatModel(script=[RuntimeError("busy")])
    with pytest.raises(ModelFailed, match="busy"):
        list(stream_text(model, MESSAGES, ModelLimits(n_retries=5, backoff_s=10.0, total_timeout_s=1.0)))
    assert len(model.calls) == 1


def test_the_text_of_a_chunk_may_come_in_parts() -> None:
    class Parts(ScriptedChatModel):
        def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Iterator[AIMessageChunk]:
            yield AIMessageChunk([{"type": "text", "text": "so "}, "it", {"type": "thinking"}])

    assert list(stream_text(Parts(script=[]), MESSAGES, ModelLimits())) == ["so it"]


class Hasty(ScriptedChatModel):
    """Says more than anybody can read."""

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Iterator[AIMessageChunk]:
        while True:
            yield AIMessageChunk("more ")


def test_a_model_that_is_ahead_of_its_reader_is_cut_off_in_time_too() -> None:
    with pytest.raises(ModelFailed, match=r"not done after 0\.3 s"):
        for _ in stream_text(Hasty(script=[]), MESSAGES, ModelLimits(total_timeout_s=0.3)):
            time.sleep(0.005)
