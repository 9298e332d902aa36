"""Chat models by name, and their answers as a stream that ends in time and is retried."""

from __future__ import annotations

import contextvars
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.answer import Usage
from rag.errors import ModelFailed, ModelUnavailable, PromptTooLong

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_PROVIDERS = {  # LangChain's name of a provider -> our extra with its package
    "openai": "openai", "anthropic": "anthropic", "google_genai": "google", "mistralai": "mistral", "ollama": "ollama"
}  # fmt: skip
_TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum context|prompt is too long|too many tokens", re.IGNORECASE
)
_MAX_WAITING = 256  # pieces that a model may be ahead of its reader


def load_chat_model(spec: str, *, timeout_s: float = 60.0) -> BaseChatModel:
    """The chat model PROVIDER:NAME, as in `openai:gpt-5-mini`, by LangChain's `init_chat_model`.

    Args:
        spec: PROVIDER:NAME.
        timeout_s: For one request, and between two pieces of its answer.

    Raises:
        ModelUnavailable: The provider's package or its key is missing, or the name is unknown.
    """
    try:
        from langchain.chat_models import init_chat_model

        if not spec.split(":")[-1].strip():
            raise ValueError("no name of a model")
        return init_chat_model(spec, temperature=0, timeout=timeout_s, max_retries=0)  # `ModelLimits` retries
    except Exception as error:
        raise ModelUnavailable(
            f"the model {spec!r} cannot be set up ({type(error).__name__}: {str(error)[:300]})",
            "PROVIDER:NAME, as in openai:gpt-5-mini or ollama:llama3.2, the provider's package and its key",
            _remedy(spec.split(":")[0] if ":" in spec else ""),
        ) from error


def _remedy(provider: str) -> str:
    extra = _PROVIDERS.get(provider)
    if extra is None:
        return f"use one of {', '.join(_PROVIDERS)}, or install LangChain's package for {provider or 'your provider'}"
    return f"pip install 'dragoman[{extra}]'" + ("" if extra == "ollama" else ", and set its key in the environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """How long a model may take, and how often it is asked."""

    piece_timeout_s: float = 30.0  # to the first piece, and between two
    total_timeout_s: float = 120.0  # for an answer, retries included
    n_retries: int = 2  # of a request that failed before its first piece
    backoff_s: float = 0.5  # before the first retry; doubled for each further one
    max_prompt_tokens: int = 6_000  # about; passages are dropped from the end until they fit


def stream_text(
    model: BaseChatModel,
    messages: list[Any],
    limits: ModelLimits,
    count: Callable[[Usage], None] = lambda usage: None,
) -> Iterator[str]:
    """The pieces of the model's answer; closing this generator frees the model call.

    Args:
        model: The model.
        messages: The prompt.
        limits: How long it may take, and how often it is asked.
        count: Called with the usage of each request, as far as the model reports it.

    Raises:
        ModelFailed: It failed more often than it may be asked, or ran out of time.
    """
    deadline = time.monotonic() + limits.total_timeout_s
    for attempt in range(limits.n_retries + 1):
        has_begun = False
        try:
            for piece in _pieces(_Request(model, messages, count), limits, deadline):
                has_begun = True
                yield piece
            return
        except ModelFailed as error:
            pause = limits.backoff_s * 2**attempt
            if has_begun or error.is_final or attempt == limits.n_retries or time.monotonic() + pause >= deadline:
                raise
            time.sleep(pause)


class _Request:
    """One request, in a thread of its own: a provider that hangs cannot be interrupted, only left."""

    def __init__(self, model: BaseChatModel, messages: list[Any], count: Callable[[Usage], None]) -> None:
        self.pieces: queue.Queue[str | Exception | None] = queue.Queue(maxsize=_MAX_WAITING)
        self.stopped = threading.Event()
        self._model, self._messages, self._count = model, messages, count
        # In the caller's context, so that a trace of the LangChain chain has the model's call within it.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._work,), daemon=True, name="model").start()

    def _work(self) -> None:
        try:
            self._count(Usage(n_calls=1))
            stream = self._model.stream(self._messages)
            for chunk in stream:
                if usage := getattr(chunk, "usage_metadata", None):
                    self._count(Usage(usage.get("input_tokens", 0), usage.get("output_tokens", 0)))
                if self.stopped.is_set():
                    getattr(stream, "close", lambda: None)()  # ends the request where the provider's stream can
                    return
                if text := str(chunk.text):
                    self._put(text)
            self._put(None)
        except Exception as error:  # noqa: BLE001 - raised in the reader's thread, whatever it is
            self._put(error)

    def _put(self, piece: str | Exception | None) -> None:
        while not self.stopped.is_set():
            with suppress(queue.Full):
                self.pieces.put(piece, timeout=0.1)
                return


def _pieces(request: _Request, limits: ModelLimits, deadline: float) -> Iterator[str]:
    """The pieces of one request as they come, each in time."""
    try:
        while True:
            left = min(limits.piece_timeout_s, deadline - time.monotonic())
            try:
                if left <= 0:  # also where the model is ahead of its reader
                    raise queue.Empty
                piece = request.pieces.get(timeout=left)
            except queue.Empty:
                raise _timed_out(limits, deadline) from None
            if piece is None:
                return
            if isinstance(piece, Exception):
                failed = f"the model failed ({type(piece).__name__}: {str(piece)[:200]})"
                if _TOO_LONG.search(str(piece)):
                    raise PromptTooLong(failed, "a shorter prompt", "use another model", is_final=True) from piece
                raise ModelFailed(failed, "an answer", "try again or another model") from piece
            yield piece
    finally:
        request.stopped.set()


def _timed_out(limits: ModelLimits, deadline: float) -> ModelFailed:
    if time.monotonic() >= deadline:
        found = f"the model was not done after {limits.total_timeout_s:g} s"
    else:
        found = f"the model said nothing for {limits.piece_timeout_s:g} s"
    return ModelFailed(found, "an answer in time", "try again or another model", is_final=True)
