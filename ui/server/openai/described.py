"""What OpenAPI says of the routes below /v1."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel

from ui.server.openai.bodies import MODEL
from ui.server.openai.refusals import ErrorBody, Refused
from ui.server.responses import ANSWER, CITATION, PASSAGE, QUESTION, sends, shows
from ui.server.shapes import CitationOut, Passage

ModelName = Annotated[str, Path(examples=[MODEL])]


class ModelCard(BaseModel):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The models that there are."""

    object: Literal["list"]
    data: list[ModelCard]


class CompletionMessage(BaseModel):
    """The answer as a message."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[dict[str, Any]]


class CompletionChoice(BaseModel):
    """The one choice that there is."""

    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop"]


class TokenUsage(BaseModel):
    """Tokens that a model read and wrote, 0 where there is none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """A chat completion, with what it rests on."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage
    citations: list[CitationOut]
    retrieved: list[Passage]
    warnings: list[str]
    abstained: bool


_CARD = {"id": MODEL, "object": "model", "created": 1_795_000_000, "owned_by": MODEL}
_MARKER_AT = ANSWER["answer"].index("[1]")
_ANNOTATION = {
    "type": "url_citation",
    "url_citation": {
        "start_index": _MARKER_AT,
        "end_index": _MARKER_AT + 3,
        "title": CITATION["title"],
        "url": CITATION["url"],
    },
}
_MESSAGE = {"role": "assistant", "content": ANSWER["answer"], "refusal": None, "annotations": [_ANNOTATION]}
_COMPLETION = {
    "id": "chatcmpl-0a1b2c3d4e5f60718293a4b5",
    "object": "chat.completion",
    "created": 1_795_000_000,
    "model": MODEL,
    "choices": [{"index": 0, "message": _MESSAGE, "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "citations": [CITATION],
    "retrieved": [PASSAGE],
    "warnings": [],
    "abstained": False,
}
_CHUNKS = (
    'data: {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "The Webb telescope"}, …}], …}\n\n'
    "data: [DONE]\n\n"
)


def _failure(description: str, refused: Refused) -> dict[str, Any]:
    return {"model": ErrorBody, "description": description, **shows(refused.body)}


FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": _failure("What is asked for cannot be done.", Refused(400, "n is 2; expected: 1", param="n")),
    "5XX": _failure("The index or the model failed, or the server is busy.", Refused(503, "all places are taken")),
}
MODELS: dict[int | str, dict[str, Any]] = {
    200: {"model": ModelList, **shows({"object": "list", "data": [_CARD]})},
}
CARD: dict[int | str, dict[str, Any]] = {200: {"model": ModelCard, **shows(_CARD)}}
# As OpenAPI 3.2 has it: of one event, not of the text; a chunk as JSON, or [DONE].
_CHUNK = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
COMPLETED: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Completion,
        "description": "A `chat.completion`; with `stream`, its `chat.completion.chunk`s and then `[DONE]`.",
        "content": {
            "application/json": {"example": _COMPLETION},
            "text/event-stream": {"itemSchema": _CHUNK, "example": _CHUNKS},
        },
    }
}
_ASKED = [{"role": "user", "content": QUESTION}]
_FOLLOWED = [
    *_ASKED,
    {"role": "assistant", "content": ANSWER["answer"]},
    {"role": "user", "content": "Why did it leave?"},
]
COMPLETE = sends(
    {
        "a question": {"model": MODEL, "messages": _ASKED},
        "a stream": {"model": MODEL, "messages": _ASKED, "stream": True},
        "a follow-up, on some articles, with its sources below": {
            "model": MODEL,
            "messages": _FOLLOWED,
            "dragoman": {"footer": True, "filter": {"languages": ["en", "ko"]}},
        },
    }
)
