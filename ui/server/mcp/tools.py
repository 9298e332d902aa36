"""The tools of the server, and what models read of them."""

# Without `from __future__ import annotations`: the library reads the annotations of functions that are made here
# inside of others, and could not resolve the names of types that only those know.
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from index.search import MAX_QUESTION_CHARS, check_question
from index.store.base import Filter
from rag.chain import Chain
from ui.server.mcp.results import (
    answer_output,
    answer_text,
    passage_output,
    passage_text,
    search_output,
    search_text,
)
from ui.server.mcp.shapes import NOTICE, AnswerOutput, PassageOutput, SearchOutput
from ui.server.sse import detail_of, log_failure
from ui.server.whole import answer_of

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

MAX_SPAN_CHARS = 8_000  # that are read at once
_INSTRUCTIONS = (
    "Dragoman holds a collection of articles in many languages. A question in any language finds articles in every"
    " other. Use ask_articles for a finished answer whose every sentence cites its passage, search_articles to see the"
    " passages yourself, and read_passage to read on around one. Cite a passage by its title and, where there is one,"
    f" its url. {NOTICE}"
)
_SEARCH = (
    "Find the passages of the articles that bear most on a question, best first. The question may be in any language:"
    " passages are found in all languages, so do not translate it, and ask in full sentences rather than keywords."
    " Each result has its text, title, date and language, and the span (doc_id, start, end) that read_passage takes."
)
_ASK = (
    "Answer a question from the articles alone, in the question's language. Every sentence of the answer has markers"
    " like [1], each naming a citation with its exact words and where they stand. `abstained` is true where the"
    " articles do not answer: then there is no answer to report. The question must be understood without the"
    " conversation before it: write names instead of pronouns."
)
_READ = (
    "Read a part of one article, with some of the text before and after it: to check a quotation, or to read on from"
    f" a search result. Positions count characters from 0; at most {MAX_SPAN_CHARS} are read at once."
)
_Short = Annotated[str, StringConstraints(min_length=1, max_length=50)]
_Languages = Annotated[
    list[_Short],
    Field(max_length=50, description="Only passages in these languages, as BCP 47 tags: en, ko, zh-Hant. Empty: all."),
]
_Since = Annotated[str, Field(description="Only articles of this day or later: YYYY, YYYY-MM or YYYY-MM-DD.")]
_Until = Annotated[str, Field(description="Only articles of this day or earlier: YYYY, YYYY-MM or YYYY-MM-DD.")]
# The schema tells the limits; our own check refuses, and says what mends it.
_Asked = Annotated[
    str,
    Field(
        description="The question, in any language.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_QUESTION_CHARS},
    ),
]


def make_server(chain: Chain) -> "MCPServer[Any]":
    """An MCP server whose tools ask `chain`."""
    with _logging_as_it_is():
        from mcp import types
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError

        server: MCPServer[Any] = MCPServer(
            "dragoman",
            title="Dragoman",
            instructions=_INSTRUCTIONS,
            version=version("dragoman"),
            log_level="WARNING",
            subscriptions=False,
        )
    harmless = types.ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )

    @contextmanager
    def told() -> Iterator[None]:
        """Tells a failure to the model: in its own words where we know it, else that the log has it."""
        try:
            yield
        except ToolError:
            raise
        except Exception as error:  # noqa: BLE001 - a tool's failure is a result of the protocol
            log_failure(error)
            raise ToolError(detail_of(error)) from None

    @contextmanager
    def argued() -> Iterator[None]:
        """Tells what is wrong with an argument."""
        try:
            yield
        except ValueError as error:
            raise ToolError(str(error)) from None

    def result(text: str, output: BaseModel) -> types.CallToolResult:
        content: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
        return types.CallToolResult(content=content, structured_content=output.model_dump(mode="json"))

    @server.tool(title="Search the articles", description=_SEARCH, annotations=harmless)
    def search_articles(
        query: _Asked,
        k: Annotated[int, Field(ge=1, le=50, description="Passages wanted.")] = 5,
        languages: _Languages = [],  # noqa: B006 - it is never changed, and its schema needs it
        since: _Since = "",
        until: _Until = "",
    ) -> Annotated[types.CallToolResult, SearchOutput]:
        with argued():
            query, where = check_question(query), _filter(languages, since, until)
        with told():
            found = chain.retrieve(query, k, where)
        return result(search_text(found), search_output(found))

    @server.tool(title="Ask the articles", description=_ASK, annotations=harmless)
    async def ask_articles(
        question: _Asked,
        languages: _Languages = [],  # noqa: B006
        since: _Since = "",
        until: _Until = "",
    ) -> Annotated[types.CallToolResult, AnswerOutput]:
        with argued():
            question, where = check_question(question), _filter(languages, since, until)
        with told():
            answer = await answer_of(chain.astream(question, where=where))
        return result(answer_text(answer), answer_output(answer))

    @server.tool(title="Read a passage", description=_READ, annotations=harmless)
    def read_passage(
        doc_id: Annotated[_Short, Field(description="The article's id, from a search result or a citation.")],
        start: Annotated[int, Field(description="First character, counted from 0.")],
        end: Annotated[int, Field(description="The character after the last.")],
    ) -> Annotated[types.CallToolResult, PassageOutput]:
        with argued():
            _check_span(start, end)
        with told():
            output = passage_output(chain, doc_id, start, end)
        return result(passage_text(output), output)

    return server


@contextmanager
def _logging_as_it_is() -> Iterator[None]:
    """The library sets up the root logger of whoever makes a server, which here is not its business."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def _filter(languages: Sequence[str], since: str, until: str) -> Filter:
    return Filter(languages=tuple(languages), since=since, until=until)


def _check_span(start: int, end: int) -> None:
    if start < 0 or end <= start:
        raise ValueError(f"the span is {start} to {end}; expected: 0 or more, and an end after the start")
    if end - start > MAX_SPAN_CHARS:
        raise ValueError(
            f"the span has {end - start} characters; expected: at most {MAX_SPAN_CHARS}; to mend: read it in parts"
        )
