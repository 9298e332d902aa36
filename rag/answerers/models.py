"""Chat models by name, and their answers as a stream that ends in time: retried, cut off, taken over by another."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.answer import Usage
from rag.errors import ModelFailed, ModelUnavailable

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def load_chat_model(
    spec: str, *, timeout_s: float = 60.0, max_retries: int = 0, remember: Path | None = None
) -> BaseChatModel:
    """The chat model `PROVIDER:NAME` names: of this machine, or by LangChain's `init_chat_model`.

    Args:
        spec: PROVIDER:NAME, as in `openai:gpt-5-mini`; `transformers:NAME` is a model of the transformers library.
        timeout_s: For one request, and between two pieces of its answer.
        max_retries: Repeats by the provider's own package, besides those of `ModelLimits`.
        remember: A file in which its answers are kept, and looked up before it is asked.

    Raises:
        ModelUnavailable: The provider's package or its key is missing, or the name is unknown.
    """
    if remember is not None:
        from rag.answerers.caching import CachingChatModel

        model = load_chat_model(spec, timeout_s=timeout_s, max_retries=max_retries)
        return CachingChatModel(model=model, spec=spec, path=remember)
    provider = spec.split(":")[0] if ":" in spec else ""
    if provider == "transformers" and spec.partition(":")[2].strip():
        from rag.answerers.local import TransformersChatModel

        return TransformersChatModel(model_name=spec.partition(":")[2])
    try:
        from langchain.chat_models import init_chat_model

        if not spec.split(":")[-1].strip():
            raise ValueError("no name of a model")
        model = init_chat_model(spec, temperature=0, timeout=timeout_s, max_retries=max_retries)
    except Exception as error:
        raise ModelUnavailable(
            f"the model {spec!r} cannot be set up ({type(error).__name__}: {str(error)[:300]})",
            "PROVIDER:NAME, as in openai:gpt-5-mini or ollama:llama3.2, the provider's package and its key",
            _remedy(provider),
        ) from error
    return model


# PROVIDER as LangChain spells it -> our extra that brings its package.
_EXTRAS = {
    "openai": "openai", "anthropic": "anthropic", "google_genai": "google", "mistralai": "mistral", "ollama": "ollama"
}  # fmt: skip


def _remedy(provider: str) -> str:
    extra = _EXTRAS.get(provider)
    if extra is None:
        known = ", ".join((*_EXTRAS, "transformers"))
        return f"use one of {known}, or install LangChain's package for {provider or 'your provider'}"
    return f"pip install 'dragoman[{extra}]'" + ("" if extra == "ollama" else ", and set its key in the environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """How long a model may take, and how often it is asked.

    Raises:
        ValueError: A limit is not positive.
    """

    piece_timeout_s: float = 30.0  # to the first piece, and between two
    total_timeout_s: float = 120.0  # for an answer, retries in it
    n_retries: int = 2  # of a request that failed before its first piece
    backoff_s: float = 0.5  # before the first retry; doubled for each further one
    max_prompt_tokens: int = 6_000  # about; passages are dropped from the end until they fit

    def __post_init__(self) -> None:
        for name in ("piece_timeout_s", "total_timeout_s", "max_prompt_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected: more than 0")
        if self.n_retries < 0 or self.backoff_s < 0:
            raise ValueError(f"n_retries {self.n_retries} and backoff_s {self.backoff_s} must not be negative")


class Completer:
    """A chat model as a function: instructions and a text in, its answer out."""

    def __init__(self, model: BaseChatModel, limits: ModelLimits | None = None) -> None:
        self._model, self._limits = model, limits or ModelLimits()

    def complete(self, system: str, text: str) -> str:
        """The whole of the model's answer.

        Raises:
            ModelFailed: It failed, or ran out of time.
        """
        from langchain_core.messages import HumanMessage, SystemMessage

        return "".join(stream_text(self._model, [SystemMessage(system), HumanMessage(text)], self._limits))


_MAX_WAITING = 256  # pieces that a model may be ahead of its reader


def stream_text(
    model: BaseChatModel, messages: list[Any], limits: ModelLimits, count: Callable[[Usage], None] | None = None
) -> Iterator[str]:
    """The pieces of the model's answer; closing this generator frees the model call.

    Args:
        model: Asked.
        messages: What it is asked.
        limits: How long it may take, and how often it is asked.
        count: Given the tokens of each request, as far as the model tells them.

    Raises:
        ModelFailed: It failed more often than it may be asked, or ran out of time.
    """
    deadline = time.monotonic() + limits.total_timeout_s
    for attempt in range(limits.n_retries + 1):
        said = False
        try:
            for piece in _pieces(model, messages, limits, deadline, count or (lambda usage: None)):
                said = True
                yield piece
            return
        except ModelFailed as error:
            pause = limits.backoff_s * 2**attempt
            if said or error.is_final or attempt == limits.n_retries or time.monotonic() + pause >= deadline:
                raise
            time.sleep(pause)


def _pieces(
    model: BaseChatModel, messages: list[Any], limits: ModelLimits, deadline: float, count: Callable[[Usage], None]
) -> Iterator[str]:
    """One request. It runs in a thread of its own: a provider that hangs cannot be interrupted, only left."""
    pieces: queue.Queue[str | Exception | None] = queue.Queue(maxsize=_MAX_WAITING)
    stopped = threading.Event()

    def put(piece: str | Exception | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                pieces.put(piece, timeout=0.1)
                return

    def work() -> None:
        try:
            count(Usage(n_calls=1))
            stream = model.stream(messages)
            for chunk in stream:
                if told := getattr(chunk, "usage_metadata", None):
                    count(Usage(told.get("input_tokens", 0), told.get("output_tokens", 0)))
                if stopped.is_set():
                    getattr(stream, "close", lambda: None)()  # ends the request where the provider's stream can
                    return
                if text := text_of(chunk.content):
                    put(text)
            put(None)
        except Exception as error:  # noqa: BLE001 - whatever the provider raises is told below
            put(error)

    # In the caller's context, so that whoever traces a LangChain chain sees the model's call within it.
    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True, name="model").start()
    try:
        while True:
            left = min(limits.piece_timeout_s, deadline - time.monotonic())
            if left <= 0:
                raise _timed_out(limits, deadline)
            try:
                piece = pieces.get(timeout=left)
            except queue.Empty:
                raise _timed_out(limits, deadline) from None
            if piece is None:
                return
            if isinstance(piece, Exception):
                raise ModelFailed(
                    f"the model failed ({type(piece).__name__}: {str(piece)[:200]})",
                    "an answer",
                    "try again or another model",
                ) from piece
            yield piece
    finally:
        stopped.set()


def _timed_out(limits: ModelLimits, deadline: float) -> ModelFailed:
    in_all = time.monotonic() >= deadline
    limit = limits.total_timeout_s if in_all else limits.piece_timeout_s
    return ModelFailed(
        f"the model was not done after {limit:g} s" if in_all else f"the model said nothing for {limit:g} s",
        "an answer in time",
        "try again or another model",
        is_final=True,
    )


def text_of(content: Any) -> str:
    """The text of a chunk, which providers give as a string or as a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") if isinstance(part, dict) else str(part) for part in content)
