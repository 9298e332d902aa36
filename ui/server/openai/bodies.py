"""Requests in OpenAI's shape, and what of them is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from index.search import MAX_QUESTION_CHARS, check_question
from rag.answerers.base import Turn
from ui.render import as_written
from ui.server.bodies import NO_FILTER, FilterBody, TurnBody, turns_of
from ui.server.openai.refusals import Refused

MODEL = "dragoman"
MAX_MESSAGES = 1_000
_MAX_SHOWN_CHARS = 64  # of a model's name that is none
_MAX_ANSWER_CHARS = 20_000  # of an earlier answer that are looked at
_MAX_TURNS = 20  # of a conversation that are looked at
_FOOTER = re.compile(r"\n\n[^\n]{1,60}:(?:\n\[\d{1,6}\] [^\n]*)+\s*\Z")


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


def check_supported(body: ChatBody) -> None:
    """See that nothing is asked for that would change the answer's shape; ignoring it would look like an answer.

    Raises:
        Refused: Something is.
    """
    check_model(body.model)
    if body.tools or body.functions:
        name = "tools" if body.tools else "functions"
        raise Refused(400, f"{name} are not supported: {MODEL} answers from its articles alone", param=name)
    for name, value in (("tool_choice", body.tool_choice), ("function_call", body.function_call)):
        if value not in (None, "none", "auto"):
            raise Refused(400, f"{name} is not supported: there are no tools", param=name)
    if body.n not in (None, 1):
        raise Refused(400, f"n is {body.n}; expected: 1, there is one answer to a question", param="n")
    kind = (body.response_format or {}).get("type", "text")
    if kind != "text":
        raise Refused(400, "response_format is not supported; expected: text", param="response_format")


def check_model(name: str) -> None:
    """See that a model is the one that there is.

    Raises:
        Refused: It is another.
    """
    if name != MODEL:
        shown = name[:_MAX_SHOWN_CHARS].encode("utf-8", "replace").decode("utf-8")
        raise Refused(
            404, f"the model '{shown}' does not exist; expected: {MODEL}", param="model", code="model_not_found"
        )


def conversation(messages: Sequence[ChatMessage]) -> tuple[str, list[Turn]]:
    """The last user message, and the turns before it that are looked at.

    Raises:
        Refused: There is no question, or one that cannot be asked.
    """
    turns: list[tuple[str, str]] = []
    for message in messages:
        if message.role in ("tool", "function"):
            raise Refused(400, f"messages of role {message.role} are not supported", param="messages")
        if message.role == "user":
            turns.append((message.text, ""))
        elif message.role == "assistant" and turns:
            asked, said = turns[-1]
            turns[-1] = (asked, f"{said}\n{as_written(message.text)}".strip())
    if not turns:
        raise Refused(400, "there is no user message; expected: one with the question", param="messages")
    *earlier, (question, _) = turns
    try:
        question = check_question(question)
    except ValueError as error:
        code = "string_above_max_length" if question.strip() else "empty_string"
        raise Refused(400, str(error), param="messages", code=code) from error
    history = [
        TurnBody(question=asked[:MAX_QUESTION_CHARS], answer=_FOOTER.sub("", said)[:_MAX_ANSWER_CHARS])
        for asked, said in earlier[-_MAX_TURNS:]
        if asked.strip()
    ]
    return question, turns_of(history)
