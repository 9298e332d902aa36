"""The chain in the shape of OpenAI's chat completions, so that existing clients and chat pages can ask it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from index.search import MAX_QUESTION_CHARS, check_question
from rag.answer import Answer, citation_json, passage_json
from rag.answerers.base import Turn
from rag.events import Delta, Done, Event, Failed, QuestionRead
from ui.render import as_written, inert, is_web_address
from ui.server.bodies import MAX_CHARS, Body, FilterBody, Interface, turns_of
from ui.server.errors import OPENAI, Refusal, refusal_of
from ui.server.gate import Service
from ui.server.sse import EventStream, answer_of, framed, public

MODEL = "dragoman"
MAX_MESSAGES = 1_000
_MARKER = re.compile(r"\[(\d{1,6})\]")
_NoTools = Annotated[list[Any], Field(max_length=0)]
_NoChoice = Literal["none", "auto"]


class ChatPart(BaseModel):
    """A part of a message: only text is read."""

    type: Literal["text", "refusal"]
    text: str = ""


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ChatPart] | None = None

    @property
    def text(self) -> str:
        """Its text; half a surrogate pair is no text."""
        content = self.content or ""
        text = content if isinstance(content, str) else "\n".join(part.text for part in content)
        return text.encode("utf-8", "replace").decode("utf-8")


class ChatOptions(Body):
    """Dragoman's own options."""

    filter: FilterBody = FilterBody()


class ChatBody(BaseModel):
    """A request for a chat completion; what would change the answer's shape is refused.

    Other fields, as `temperature`, are accepted and have no effect: clients send many. In `dragoman` none is.
    """

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: Literal[1] | None = None
    tools: _NoTools | None = None
    functions: _NoTools | None = None
    tool_choice: _NoChoice | None = None
    function_call: _NoChoice | None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    dragoman: ChatOptions = ChatOptions()


def router(service: Service) -> APIRouter:
    """The routes below /v1."""
    routes = APIRouter(prefix=OPENAI, tags=["openai"])
    card = {"id": MODEL, "object": "model", "created": int(time.time()), "owned_by": MODEL}

    @routes.get("/models")
    async def list_models() -> dict[str, Any]:
        """The one model, in the shape of OpenAI's list."""
        return {"object": "list", "data": [card]}

    @routes.get("/models/{model}")
    async def get_model(model: str) -> dict[str, Any]:
        """The model of this name."""
        _check_model(model)
        return card

    @routes.post("/chat/completions", response_model=None)
    async def create_chat_completion(body: ChatBody, interface: Interface) -> dict[str, Any] | Response:
        """A cited answer to the last user message, as a chat completion; earlier messages are the conversation.

        Beside OpenAI's own fields there are `citations`, `retrieved`, `warnings` and `abstained`, in a stream in the
        chunk with the `finish_reason`. What the text quotes is never Markdown or HTML; `citations` have it verbatim.
        System messages are accepted and have no effect.
        """
        _check_model(body.model)
        question, history = _conversation(body.messages)
        events = service.chain.astream(question, history, body.dragoman.filter.as_filter(), interface)
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": MODEL}
        if not body.stream:
            return head | _whole(await answer_of(events))
        return EventStream(events, _frame(head, usage=bool((body.stream_options or {}).get("include_usage"))))

    return routes


def _check_model(name: str) -> None:
    if name != MODEL:
        shown = name[:64].encode("utf-8", "replace").decode("utf-8")
        detail = f"the model '{shown}' does not exist; expected: {MODEL}"
        raise Refusal(404, detail, param="model", code="model_not_found")


def _conversation(messages: Sequence[ChatMessage]) -> tuple[str, list[Turn]]:
    """The last user message, and the turns before it that are read."""
    turns: list[tuple[str, str]] = []
    for message in messages:
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
    history = [(asked[:MAX_QUESTION_CHARS], said[:MAX_CHARS]) for asked, said in earlier if asked.strip()]
    return question, turns_of(history)


def _whole(answer: Answer) -> dict[str, Any]:
    """The answer as one `chat.completion`."""
    message = {
        "role": "assistant",
        "content": inert(answer.text),
        "refusal": None,
        "annotations": _annotations(answer, ""),
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {"object": "chat.completion", "choices": [choice], "usage": _usage(answer), **_extras(answer)}


def _frame(head: dict[str, Any], *, usage: bool) -> Callable[[Event], bytes]:
    """How each event is sent as a chunk; empty where a stream has no place for it."""
    head |= {"object": "chat.completion.chunk", **({"usage": None} if usage else {})}
    said = ""

    def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return framed("", {**head, "choices": [choice], **more})

    def end(answer: Answer) -> bytes:
        # The stream still has what a model said before it was asked a second time.
        before = said.removesuffix(answer.text) if said.endswith(answer.text) else ""
        last = chunk({"annotations": _annotations(answer, before)}, "stop", **_extras(answer))
        if usage:
            last += framed("", {**head, "choices": [], "usage": _usage(answer)})
        return last + b"data: [DONE]\n\n"

    def frame(event: Event) -> bytes:
        nonlocal said
        match event:
            case QuestionRead():
                return chunk({"role": "assistant", "content": ""})
            case Delta(text=text):
                before, said = said, said + text
                return chunk({"content": inert(text, before)})
            case Done(answer=answer):
                return end(answer)
            case Failed(error=error):
                return framed("", refusal_of(error).openai_json())
        return b""

    return frame


def _annotations(answer: Answer, before: str) -> list[dict[str, Any]]:
    """Where the answer's markers stand in the text that is shown, in code points; web pages only."""
    cited = {str(one.n): one for one in answer.citations if is_web_address(one.url)}
    offset = len(inert(before))
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": offset + marker.start(),
                "end_index": offset + marker.end(),
                "title": cited[marker[1]].title or cited[marker[1]].url,
                "url": cited[marker[1]].url,
            },
        }
        for marker in _MARKER.finditer(inert(answer.text, before))
        if marker[1] in cited
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
