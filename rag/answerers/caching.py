"""A chat model that remembers its answers: what it was asked once, word for word, it is not asked again.

For repeated measuring: the keys and fences of a prompt are new for each request, so they are replaced by their
places before a prompt is looked up, and put in again in what was remembered. Everything else that
shapes an answer is in the key: the model, its parameters, every word of the prompt.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import regex
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from rag.answerers.models import text_of

_FENCE = regex.compile(r"=====passages-[0-9a-f]{16}=====")
_KEY_LINE = regex.compile(r"^\[([a-z]+)\] \(", regex.MULTILINE)


class CachingChatModel(BaseChatModel):
    """`model`, whose answers are kept in the SQLite file `path`; errors and broken-off answers are not kept.

    `spec` says which model it is, as PROVIDER:NAME: not every provider's class tells that of itself.
    """

    model: BaseChatModel
    spec: str
    path: Path
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _store: sqlite3.Connection = PrivateAttr()
    n_hits: int = 0
    n_misses: int = 0

    def model_post_init(self, context: Any) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._store = sqlite3.connect(self.path, check_same_thread=False, timeout=30.0)
        self._store.execute(
            "CREATE TABLE IF NOT EXISTS answers"
            " (key TEXT PRIMARY KEY, text TEXT NOT NULL, input_tokens INT NOT NULL, output_tokens INT NOT NULL)"
        )
        self._store.commit()

    @property
    def _llm_type(self) -> str:
        return f"cached-{self.model._llm_type}"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._store.close()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        names = _random_names(messages)
        key = self._key(messages, names)
        with self._lock:
            row = self._store.execute(
                "SELECT text, input_tokens, output_tokens FROM answers WHERE key = ?", (key,)
            ).fetchone()
        if row is not None:
            self.n_hits += 1
            usage: Any = {"input_tokens": row[1], "output_tokens": row[2], "total_tokens": row[1] + row[2]}
            remembered: Any = AIMessageChunk(content=_with_names(row[0], names), usage_metadata=usage)
            yield ChatGenerationChunk(message=remembered)
            return
        self.n_misses += 1
        said: list[str] = []
        n_read = n_written = 0
        for chunk in self.model.stream(messages, stop=stop, **kwargs):
            said.append(text_of(chunk.content))
            told: Any = chunk.usage_metadata or {}
            n_read, n_written = n_read + told.get("input_tokens", 0), n_written + told.get("output_tokens", 0)
            yield ChatGenerationChunk(message=chunk)
        with self._lock:
            text = _without_names("".join(said), names)
            self._store.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", (key, text, n_read, n_written))
            self._store.commit()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "".join(text_of(chunk.message.content) for chunk in self._stream(messages, stop, **kwargs))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    def _key(self, messages: list[BaseMessage], names: list[str]) -> str:
        asked = [(message.type, _without_names(text_of(message.content), names)) for message in messages]
        parameters = sorted((name, str(value)) for name, value in self.model._identifying_params.items())
        whole = json.dumps([self.spec, self.model._llm_type, parameters, asked], ensure_ascii=False)
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


def _random_names(messages: list[BaseMessage]) -> list[str]:
    """The fence and the passage keys of a prompt, in order of appearance."""
    text = "\n".join(text_of(message.content) for message in messages)
    found = [match.group() for match in _FENCE.finditer(text)][:1]
    keys = _KEY_LINE.findall(text_of(messages[-1].content)) if messages else []
    return list(dict.fromkeys([*found, *keys]))


_PLACE = regex.compile("\ue000([0-9]+)\ue001")


def _without_names(text: str, names: list[str]) -> str:
    """`text` with each name replaced by its place among `names`."""
    if not names:
        return text
    # A key is a word of letters, and must not be found within another.
    pattern = "|".join(regex.escape(name) for name in names)
    places = {name: f"\ue000{place}\ue001" for place, name in enumerate(names)}
    return regex.sub(rf"(?<![a-z])(?:{pattern})(?![a-z])", lambda match: places[match.group()], text)


def _with_names(text: str, names: list[str]) -> str:
    """The opposite of `_without_names`; places beyond `names` are left as they are."""

    def name(match: regex.Match[str]) -> str:
        place = int(match.group(1))
        return names[place] if place < len(names) else match.group()

    return _PLACE.sub(name, text)
