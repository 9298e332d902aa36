"""Fakes for tests of programs built on this package: a chat model with a script, a tiny encoder, a tiny reader.

All stand at the seams (LangChain's `BaseChatModel`, this project's `Encoder` and `Reader`), so that a test
needs no network, no model file and no patching.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import regex
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from index.encoders.base import FloatArray, unit_rows
from index.store.base import StoredPassage
from rag.reader import Judgement, Reading, SentenceReading

__all__ = ["HashEncoder", "Piece", "ScriptedChatModel", "WordReader", "prompt_keys"]

Piece = str | Exception
_KEY_LINE = regex.compile(r"^\[([a-z]+)\] \(.*\)$", regex.MULTILINE)


class ScriptedChatModel(BaseChatModel):
    """A chat model that streams the pieces of `script` and keeps the messages that it got.

    `script` is a list of pieces, the same for every call, or a function from the passage keys
    of the prompt (best passage first) to such a list. A piece that is an exception is raised
    in its place: first, the model fails at once; later, in the middle of its answer.

        model = ScriptedChatModel(script=lambda keys: ["Seoul is the capital. ", f"[{keys[0]}]"])
        chain = Chain(backend, encoder, GenerativeAnswerer(model))
    """

    script: Sequence[Piece] | Callable[[list[str]], Sequence[Piece]]
    calls: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        self.calls.append(messages)
        for piece in self.script(prompt_keys(messages)) if callable(self.script) else self.script:
            if isinstance(piece, Exception):
                raise piece
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "".join(str(chunk.message.content) for chunk in self._stream(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])


def prompt_keys(messages: Sequence[BaseMessage]) -> list[str]:
    """The passage keys of a prompt of this package, best passage first."""
    return _KEY_LINE.findall(str(messages[-1].content))


class HashEncoder:
    """A tiny deterministic `Encoder`: counts of hashed character n-grams, scaled to unit length.

    Texts are near each other by the letters they share, never by their meaning. It needs no
    file and weighs nothing; a "token" is a character that is not white space.
    """

    def __init__(
        self, dim: int = 256, languages: frozenset[str] = frozenset(), max_tokens: int | None = None, n: int = 3
    ) -> None:
        self.name, self.dim, self.languages, self.max_tokens, self._n = "hash", dim, languages, max_tokens, n
        self.fingerprint = f"hash-{hashlib.sha256(f'{dim}:{n}'.encode()).hexdigest()[:16]}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [sum(not char.isspace() for char in text) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return self.encode_passages(texts)

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        counts = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(counts, texts, strict=True):
            for gram in self._grams(text):
                row[zlib.crc32(gram.encode("utf-8", "surrogatepass")) % self.dim] += 1
        return unit_rows(counts)

    def encode_sentences(self, passages: Sequence[Sequence[str]]) -> FloatArray:
        return self.encode_passages([" ".join(sentences) for sentences in passages])

    def _grams(self, text: str) -> Iterator[str]:
        """The n-grams of each word, its ends marked; a text of white space has none."""
        for word in unicodedata.normalize("NFKC", text).casefold().split():
            marked = f"<{word}>"
            yield from (marked[i : i + self._n] for i in range(max(1, len(marked) - self._n + 1)))


class WordReader:
    """A tiny `Reader`: a sentence answers a question by the words that it shares with it.

    A claim is supported by a passage that has all its words, and not mentioned by any other.
    """

    name = "words"

    def read(self, question: str, passages: Sequence[StoredPassage]) -> list[Reading]:
        wanted = _words(question)
        return [self._reading(wanted, passage) for passage in passages]

    def near(self, question: str, texts: Sequence[str]) -> list[float]:
        return [0.0] * len(texts)

    def judge(self, claims: Sequence[tuple[str, StoredPassage]]) -> list[Judgement]:
        held = [_words(claim) <= _words(passage.text) for claim, passage in claims]
        return [Judgement(1.0, 0.0, 0.0) if one else Judgement(0.0, 0.0, 1.0) for one in held]

    def _reading(self, wanted: set[str], passage: StoredPassage) -> Reading:
        found = []
        for start, end in passage.sentences:
            own = _words(passage.text[start - passage.start : end - passage.start])
            share = len(wanted & own) / max(1, len(wanted))
            found.append(SentenceReading(start, end, start, end, math.log(share + 0.01)))
        best = max((math.exp(one.score) for one in found), default=0.0)
        return Reading(12 * best - 3, 12 * best - 3, tuple(found))


def _words(text: str) -> set[str]:
    """The words of a text without case; in scripts without spaces its pairs of characters."""
    words = regex.findall(r"[\p{L}\p{N}]+", unicodedata.normalize("NFKC", text).casefold())
    pairs = (word[i : i + 2] for word in words if not word.isascii() for i in range(len(word) - 1))
    return {*words, *pairs}
