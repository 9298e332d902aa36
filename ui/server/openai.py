"""The chain in the shape of OpenAI's chat completions, so that existing clients and chat pages can ask it."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from index.errors import IndexProblem
from index.search import MAX_QUESTION_CHARS, check_question
from rag.answer import Answer, Citation
from rag.answerers.base import Turn
from rag.as_json import citation_json, passage_json
from rag.errors import AnswerProblem
from rag.events import Delta, Done, Event, Failed, PassagesFound
from rag.phrases import phrase
from ui.server.bodies import NO_FILTER, FilterBody, TurnBody, turns_of
from ui.server.service import Service
from ui.server.sse import UNKNOWN, code_of, log_failure

MODEL = "dragoman"
MAX_MESSAGES = 1_000
_MAX_ANSWER_CHARS = 20_000  # of an earlier answer that are looked at
_MARKER = re.compile(r"\[(\d{1,6})\]")
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_FOOTER = re.compile(r"\n\n[^\n]{1,60}:(?:\n\[\d{1,6}\] [^\n]*)+\s*\Z")
# Clients show content as Markdown: a title must not become an image or a tag of it.
_PLAIN = str.maketrans("[]<>", "()‹›")
# JSON may hold these as they are, but many readers of event streams end a line at them.
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x7f\x85\u2028\u2029"}


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
        """What it says."""
        content = self.content or ""
        text = content if isinstance(content, str) else "\n".join(part.text for part in content)
        return text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False


class ChatOptions(BaseModel):
    """What OpenAI does not know: the sources as a last paragraph, and which articles may be used."""

    footer: bool = False
    filter: FilterBody = NO_FILTER


class ChatBody(BaseModel):
    """A request for a chat completion. What is not named here, as `temperature`, is taken and has no effect."""

    model: Annotated[str, Field(examples=[MODEL])]
    messages: Annotated[
        list[ChatMessage],
        Field(min_length=1, max_length=MAX_MESSAGES, examples=[[{"role": "user", "content": "Who led NASA?"}]]),
    ]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    function_call: Any = None
    response_format: dict[str, Any] | None = None
    dragoman: ChatOptions = ChatOptions()


class ErrorDetail(BaseModel):
    """What went wrong, as OpenAI has it."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """A failure."""

    error: ErrorDetail


_FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "What is asked for cannot be done."},
    "5XX": {"model": ErrorBody, "description": "The index or the model failed."},
}
_COMPLETION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A `chat.completion`; with `stream`, its `chat.completion.chunk`s and then `[DONE]`.",
        "content": {"application/json": {}, "text/event-stream": {}},
    }
}


class _Refused(Exception):
    """A request that gets an error in OpenAI's shape."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = ErrorBody(error=ErrorDetail(message=message, type=kind, param=param, code=code)).model_dump()


class _Route(APIRoute):
    """A route that tells every failure in OpenAI's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientDisconnect:
                raise  # there is nobody to tell
            except Exception as error:  # noqa: BLE001 - clients read every failure from this shape
                refused = _refusal(error)
                return JSONResponse(refused.body, refused.status)

        return handled


def router(service: Service) -> APIRouter:
    """The routes of the OpenAI-compatible interface."""
    routes = APIRouter(prefix="/v1", tags=["openai"], route_class=_Route, responses=_FAILURES)
    chain = service.chain
    card = {"id": MODEL, "object": "model", "created": int(time.time()), "owned_by": MODEL}

    @routes.get("/models")
    async def models() -> dict[str, Any]:
        """The one model that there is, in the shape of OpenAI's list."""
        return {"object": "list", "data": [card]}

    @routes.get("/models/{model}")
    async def model(model: str) -> dict[str, Any]:
        """The model of this name."""
        _check_model(model)
        return card

    @routes.post("/chat/completions", response_model=None, responses=_COMPLETION)
    async def complete(
        body: ChatBody, footer: Annotated[bool, Query(description="Name the sources at the end of the text.")] = False
    ) -> dict[str, Any] | Response:
        """A cited answer to the last user message, as a chat completion; earlier messages are the conversation.

        Beside OpenAI's own fields there are `citations`, `retrieved`, `warnings` and `abstained`, in a stream in the
        chunk with the `finish_reason`. System messages are taken and have no effect.
        """
        _check_supported(body)
        question, history = _conversation(body.messages)
        where = body.dragoman.filter.as_filter()
        usage = body.stream_options is not None and body.stream_options.include_usage
        reply = _Reply(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), footer or body.dragoman.footer, usage)
        if not body.stream:
            return reply.whole(await chain.ainvoke(question, history, where))
        events = cast("AsyncGenerator[Event]", chain.astream(question, history, where))  # its type says less
        return await _stream(events, reply)

    return routes


def _check_supported(body: ChatBody) -> None:
    """Refuse what would change the answer's shape; ignoring it would look like an answer."""
    _check_model(body.model)
    if body.tools or body.functions:
        name = "tools" if body.tools else "functions"
        raise _Refused(400, f"{name} are not supported: {MODEL} answers from its articles alone", param=name)
    for name, value in (("tool_choice", body.tool_choice), ("function_call", body.function_call)):
        if value not in (None, "none", "auto"):
            raise _Refused(400, f"{name} is not supported: there are no tools", param=name)
    if body.n not in (None, 1):
        raise _Refused(400, f"n is {body.n}; expected: 1, there is one answer to a question", param="n")
    kind = (body.response_format or {}).get("type", "text")
    if kind != "text":
        raise _Refused(400, "response_format is not supported; expected: text", param="response_format")


def _check_model(name: str) -> None:
    if name != MODEL:
        shown = name[:64].translate(_LINE_ENDS)
        raise _Refused(
            404, f"the model '{shown}' does not exist; expected: {MODEL}", param="model", code="model_not_found"
        )


def _conversation(messages: Sequence[ChatMessage]) -> tuple[str, list[Turn]]:
    """The last user message, and the turns before it that are looked at."""
    turns: list[tuple[str, str]] = []
    for message in messages:
        if message.role in ("tool", "function"):
            raise _Refused(400, f"messages of role {message.role} are not supported", param="messages")
        if message.role == "user":
            turns.append((message.text, ""))
        elif message.role == "assistant" and turns:
            asked, said = turns[-1]
            turns[-1] = (asked, f"{said}\n{message.text}".strip())
    if not turns:
        raise _Refused(400, "there is no user message; expected: one with the question", param="messages")
    *earlier, (question, _) = turns
    try:
        question = check_question(question)
    except ValueError as error:
        code = "string_above_max_length" if question.strip() else "empty_string"
        raise _Refused(400, str(error), param="messages", code=code) from error
    history = [
        TurnBody(question=asked[:MAX_QUESTION_CHARS], answer=_FOOTER.sub("", said)[:_MAX_ANSWER_CHARS])
        for asked, said in earlier[-20:]
        if asked.strip()
    ]
    return question, turns_of(history)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What all parts of one answer have in common."""

    id: str
    created: int
    with_footer: bool
    with_usage: bool  # at the end of a stream

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer as one `chat.completion`."""
        content = answer.text + self.footer(answer)
        message = {
            "role": "assistant",
            "content": content,
            "refusal": None,
            "annotations": _annotations(answer, 0),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage(answer), **_extras(answer)}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """A part of the answer as a `chat.completion.chunk`."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self.with_usage else {}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **usage}

    def end(self, answer: Answer, said: str) -> list[dict[str, Any]]:
        """The last chunks of a stream that has `said` this."""
        chunks = [self.chunk({"content": footer})] if (footer := self.footer(answer)) else []
        # A model that was asked again has left in the stream what it said before.
        offset = len(said) - len(answer.text) if said.endswith(answer.text) else 0
        chunks.append({**self.chunk({"annotations": _annotations(answer, offset)}, "stop"), **_extras(answer)})
        if self.with_usage:
            chunks.append({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(answer)})
        return chunks

    def footer(self, answer: Answer) -> str:
        """The paragraph that names the sources, where it is wanted and there are any."""
        if not (self.with_footer and answer.citations):
            return ""
        named = [f"[{citation.n}] {_named(citation)}" for citation in answer.citations]
        return "\n".join([f"\n\n{phrase('sources', answer.answer_language)}:", *named])

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL}


def _named(citation: Citation) -> str:
    title = " ".join((citation.title or citation.source).split()).translate(_PLAIN)
    return f"{title}, {citation.url}" if _WEB_ADDRESS.fullmatch(citation.url) else title


def _annotations(answer: Answer, offset: int) -> list[dict[str, Any]]:
    """Where the answer's markers stand in a text that it begins at `offset` of, in code points; web pages only."""
    cited = {citation.n: citation for citation in answer.citations if _WEB_ADDRESS.fullmatch(citation.url)}
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
        for marker in _MARKER.finditer(answer.text)
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


class _EventStream(StreamingResponse):
    """A stream of server-sent events that closes the chain's stream, however it ends."""

    def __init__(self, lines: AsyncIterator[str], events: AsyncGenerator[Event]) -> None:
        # A proxy that buffered would show the answer all at once.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(lines, headers=headers, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()


async def _stream(events: AsyncGenerator[Event], reply: _Reply) -> Response:
    """The answer as server-sent events. The search is done before they begin: its failures still have a status."""
    try:
        async for event in events:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, PassagesFound):
                break
    except BaseException:
        await events.aclose()
        raise
    return _EventStream(_lines(events, reply), events)


async def _lines(events: AsyncIterator[Event], reply: _Reply) -> AsyncIterator[str]:
    said = ""
    yield _line(reply.chunk({"role": "assistant", "content": ""}))
    async for event in events:
        if isinstance(event, Delta):
            said += event.text
            yield _line(reply.chunk({"content": event.text}))
        elif isinstance(event, Done):
            for chunk in reply.end(event.answer, said):
                yield _line(chunk)
        elif isinstance(event, Failed):
            yield _line(_refusal(event.error).body)
            return
    yield "data: [DONE]\n\n"


def _line(payload: dict[str, Any]) -> str:
    return f"data: {json.dumps(payload, ensure_ascii=False).translate(_LINE_ENDS)}\n\n"


def _refusal(error: Exception) -> _Refused:
    """The error that tells of `error`, without the request, and of our own faults nothing."""
    if isinstance(error, _Refused):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        # Where a value may be of two kinds, the place ends with the name of one.
        place = [part for part in first["loc"][1:] if part != "str" and not str(part).startswith("list[")] or ["body"]
        param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        return _Refused(400, f"{param}: {first['msg']}", param=param, code=first["type"])
    if isinstance(error, HTTPException):
        return _Refused(400 if error.status_code == 422 else error.status_code, str(error.detail))
    if isinstance(error, IndexProblem | AnswerProblem):
        return _Refused(503 if isinstance(error, IndexProblem) else 502, str(error), code=code_of(error))
    log_failure(error)
    return _Refused(500, UNKNOWN, code=code_of(error))
