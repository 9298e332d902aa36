"""The chain in the shape of OpenAI's chat completions, so that existing clients and chat pages can ask it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from index.search import MAX_QUESTION_CHARS, check_question
from rag.answer import Answer
from rag.answerers.base import Turn
from rag.events import Delta, Done, Event, Failed, PassagesFound
from ui.render import as_written, citation_json, inert, is_web_address, passage_json, sources_markdown
from ui.server.bodies import NO_FILTER, FilterBody, TurnBody, turns_of
from ui.server.errors import OPENAI, Refusal, openai_error, refusal_of
from ui.server.feedback import MAX_CHARS
from ui.server.service import Service
from ui.server.sse import EventStream, answer_of, close, framed, public

MODEL = "dragoman"
MAX_MESSAGES = 1_000
_MAX_TURNS = 20  # of a conversation that are read
_MARKER = re.compile(r"\[(\d{1,6})\]")
_FOOTER = re.compile(r"\n\n[^\n]{1,60}:(?:\n\[\d{1,6}\] [^\n]*)+\s*\Z")
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is asked for cannot be done."},
    "5XX": {"description": "The index or the model failed, or the server is busy."},
}
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


# --- requests ---------------------------------------------------------------------------------------------------------


class ChatPart(BaseModel):
    """A part of a message: only text is read."""

    type: Literal["text", "refusal"]
    text: str = ""


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ChatPart] | None = None

    @property
    def text(self) -> str:
        """Its text; half a surrogate pair is no text."""
        content = self.content or ""
        text = content if isinstance(content, str) else "\n".join(part.text for part in content)
        return text.encode("utf-8", "replace").decode("utf-8")


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False


class ChatOptions(BaseModel):
    """Dragoman's own options: the sources as a last paragraph, and which documents may be used."""

    footer: bool = False
    filter: FilterBody = NO_FILTER


class ChatBody(BaseModel):
    """A request for a chat completion. Other fields, as `temperature`, are accepted and have no effect."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    function_call: Any = None
    response_format: dict[str, Any] | None = None
    dragoman: ChatOptions = ChatOptions()


def _check_supported(body: ChatBody) -> None:
    """Refuse what would change the answer's shape: ignoring it would look like an answer."""
    _check_model(body.model)
    for name, value in (("tools", body.tools), ("functions", body.functions)):
        if value:
            raise Refusal(400, f"{name} are not supported: {MODEL} answers from its articles only", param=name)
    for name, value in (("tool_choice", body.tool_choice), ("function_call", body.function_call)):
        if value not in (None, "none", "auto"):
            raise Refusal(400, f"{name} is not supported: there are no tools", param=name)
    if body.n not in (None, 1):
        raise Refusal(400, f"n is {body.n}; expected: 1, there is one answer to a question", param="n")
    if (body.response_format or {}).get("type", "text") != "text":
        raise Refusal(400, "response_format is not supported; expected: text", param="response_format")


def _check_model(name: str) -> None:
    if name != MODEL:
        shown = name[:64].encode("utf-8", "replace").decode("utf-8")
        detail = f"the model '{shown}' does not exist; expected: {MODEL}"
        raise Refusal(404, detail, param="model", code="model_not_found")


def _conversation(messages: Sequence[ChatMessage]) -> tuple[str, list[Turn]]:
    """The last user message, and the turns before it that are read."""
    turns: list[tuple[str, str]] = []
    for message in messages:
        if message.role in ("tool", "function"):
            raise Refusal(400, f"messages of role {message.role} are not supported", param="messages")
        if message.role == "user":
            turns.append((message.text, ""))
        elif message.role == "assistant" and turns:
            asked, said = turns[-1]
            turns[-1] = (asked, f"{said}\n{as_written(message.text)}".strip())
    if not turns:
        raise Refusal(400, "there is no user message; expected: one with the question", param="messages")
    *earlier, (question, _) = turns
    try:
        question = check_question(question)
    except ValueError as error:
        code = "string_above_max_length" if question.strip() else "empty_string"
        raise Refusal(400, str(error), param="messages", code=code) from error
    history = [
        TurnBody(question=asked[:MAX_QUESTION_CHARS], answer=_FOOTER.sub("", said)[:MAX_CHARS])
        for asked, said in earlier[-_MAX_TURNS:]
        if asked.strip()
    ]
    return question, turns_of(history)


# --- replies ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reply:
    """What all parts of one answer have in common."""

    id: str
    created: int
    with_footer: bool
    with_usage: bool  # at the end of a stream

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer as one `chat.completion`."""
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
        return self._chunk({"role": "assistant", "content": ""})

    def frames(self) -> Callable[[Event], bytes]:
        """How each event of one answer is sent; empty where a stream has no place for it."""
        said = ""

        def frame(event: Event) -> bytes:
            nonlocal said
            match event:
                case Delta():
                    before, said = said, said + event.text
                    return self._chunk({"content": inert(event.text, before)})
                case Done():
                    return self._end(event.answer, said)
                case Failed():
                    return framed("", openai_error(refusal_of(event.error)))
                case _:
                    return b""

        return frame

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **extras: Any) -> bytes:
        """A part of the answer as a `chat.completion.chunk`."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self.with_usage else {}
        return framed("", {**self._head("chat.completion.chunk"), "choices": [choice], **usage, **extras})

    def _end(self, answer: Answer, said: str) -> bytes:
        """The last chunks of a stream in which `said` was sent."""
        footer = self._footer(answer)
        # The stream still has what a model said before it was asked a second time.
        before = said.removesuffix(answer.text) if said.endswith(answer.text) else ""
        last = self._chunk({"annotations": _annotations(answer, before)}, "stop", **_extras(answer))
        usage = {**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(answer)}
        parts = (
            self._chunk({"content": footer}) if footer else b"",
            last,
            framed("", usage) if self.with_usage else b"",
        )
        return b"".join(parts) + b"data: [DONE]\n\n"

    def _footer(self, answer: Answer) -> str:
        """The paragraph that names the sources, where it is wanted."""
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
                "title": citation.title or citation.url,
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
    """The fields that OpenAI's shape does not have."""
    data = {
        "citations": [citation_json(citation) for citation in answer.citations],
        "retrieved": [passage_json(item) for item in answer.retrieved],
        "warnings": list(answer.warnings),
        "abstained": answer.abstained,
    }
    return dict(public(data))


# --- routes -----------------------------------------------------------------------------------------------------------


def router(service: Service) -> APIRouter:
    """The routes below /v1."""
    routes = APIRouter(prefix=OPENAI, tags=["openai"], responses=_PROBLEMS)
    card = {"id": MODEL, "object": "model", "created": int(time.time()), "owned_by": MODEL}

    @routes.get("/models")
    async def models() -> dict[str, Any]:
        """The one model, in the shape of OpenAI's list."""
        return {"object": "list", "data": [card]}

    @routes.get("/models/{model}")
    async def model(model: str) -> dict[str, Any]:
        """The model of this name."""
        _check_model(model)
        return card

    @routes.post("/chat/completions", response_model=None)
    async def complete(
        body: ChatBody,
        footer: Annotated[bool, Query(description="Name the sources at the end of the text.")] = False,
    ) -> dict[str, Any] | Response:
        """A cited answer to the last user message, as a chat completion; earlier messages are the conversation.

        Beside OpenAI's own fields there are `citations`, `retrieved`, `warnings` and `abstained`, in a stream in the
        chunk with the `finish_reason`. What the text quotes is never Markdown or HTML; `citations` have it verbatim.
        System messages are accepted and have no effect.
        """
        _check_supported(body)
        question, history = _conversation(body.messages)
        usage = body.stream_options is not None and body.stream_options.include_usage
        reply = _Reply(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), footer or body.dragoman.footer, usage)
        events = service.chain.astream(question, history, body.dragoman.filter.as_filter())
        if not body.stream:
            return reply.whole(await answer_of(events))
        await _search(events)
        return EventStream(events, reply.frames(), opening=reply.opening())

    @routes.api_route("/{path:path}", methods=_METHODS, include_in_schema=False)
    async def nothing(path: str) -> None:
        """Refuse every other path below /v1: the page would take it."""
        raise Refusal(404, f"there is no {OPENAI}/{path[:100]}; expected: {OPENAI}/models or {OPENAI}/chat/completions")

    return routes


async def _search(events: AsyncIterator[Event]) -> None:
    """Go on until the passages are found: what fails before a stream has begun still has a status."""
    try:
        async for event in events:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, PassagesFound):
                return
    except BaseException:
        await close(events)
        raise
