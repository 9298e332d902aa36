"""An answer in the shape of a chat completion, whole or in chunks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rag.answer import Answer
from rag.events import Delta, Done, Event, Failed
from ui.render import citation_json, inert, is_web_address, passage_json, sources_markdown
from ui.server.openai.bodies import MODEL
from ui.server.openai.refusals import refusal
from ui.server.sources import shown_answer
from ui.server.sse import framed

_MARKER = re.compile(r"\[(\d{1,6})\]")
_END = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """What all parts of one answer have in common."""

    id: str
    created: int
    with_footer: bool
    with_usage: bool  # at the end of a stream

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer as one `chat.completion`."""
        answer = shown_answer(answer)
        message = {
            "role": "assistant",
            "content": inert(answer.text) + self._footer(answer),
            "refusal": None,
            "annotations": _annotations(answer, ""),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage(answer), **_extras(answer)}

    def opening(self) -> bytes:
        """The first chunk of a stream."""
        return framed("", self._chunk({"role": "assistant", "content": ""}))

    def frames(self) -> Callable[[Event], bytes]:
        """How each event of one answer is sent; empty where a stream has no place for it."""
        said = ""

        def frame(event: Event) -> bytes:
            nonlocal said
            match event:
                case Delta():
                    before, said = said, said + event.text
                    return framed("", self._chunk({"content": inert(event.text, before)}))
                case Done():
                    return b"".join(framed("", chunk) for chunk in self._end(shown_answer(event.answer), said)) + _END
                case Failed():
                    return framed("", refusal(event.error).body)
                case _:
                    return b""

        return frame

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """A part of the answer as a `chat.completion.chunk`."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self.with_usage else {}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **usage}

    def _end(self, answer: Answer, said: str) -> list[dict[str, Any]]:
        """The last chunks of a stream that has `said` this."""
        chunks = [self._chunk({"content": footer})] if (footer := self._footer(answer)) else []
        # A model that was asked again has left in the stream what it said before.
        before = said.removesuffix(answer.text) if said.endswith(answer.text) else ""
        chunks.append({**self._chunk({"annotations": _annotations(answer, before)}, "stop"), **_extras(answer)})
        if self.with_usage:
            chunks.append({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(answer)})
        return chunks

    def _footer(self, answer: Answer) -> str:
        """The paragraph that names the sources, where it is wanted and there are any."""
        return sources_markdown(answer) if self.with_footer else ""

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL}


def _annotations(answer: Answer, before: str) -> list[dict[str, Any]]:
    """Where the answer's markers stand in the text that is shown, in code points; web pages only."""
    cited = {citation.n: citation for citation in answer.citations if is_web_address(citation.url)}
    offset = len(inert(before))
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": offset + marker.start(),
                "end_index": offset + marker.end(),
                "title": citation.title or citation.source,
                "url": citation.url,
            },
        }
        for marker in _MARKER.finditer(inert(answer.text, before))
        if (citation := cited.get(int(marker.group(1)))) is not None
    ]


def _usage(answer: Answer) -> dict[str, int]:
    read, written = answer.usage.input_tokens, answer.usage.output_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _extras(answer: Answer) -> dict[str, Any]:
    """What OpenAI's shape has no place for."""
    return {
        "citations": [citation_json(citation) for citation in answer.citations],
        "retrieved": [passage_json(item) for item in answer.retrieved],
        "warnings": list(answer.warnings),
        "abstained": answer.abstained,
    }
