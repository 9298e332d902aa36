"""The chain as tools of a Model Context Protocol server, over stdin and stdout or at /mcp."""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from index.search import MAX_QUESTION_CHARS, check_question
from rag.answer import answer_json
from rag.chain import Chain
from ui.render import inert, is_web_address, search_json
from ui.server.bodies import FilterBody
from ui.server.errors import Refusal, log_unforeseen, refusal_of
from ui.server.settings import ServerSettings
from ui.server.sse import answer_of, public

if TYPE_CHECKING:
    from mcp.types import CallToolResult

MAX_SPAN_CHARS = 8_000  # that are read at once
CONTEXT_CHARS = 500  # that are shown before and after the span
_TEXTS = tomllib.loads(files("ui.server").joinpath("mcp.toml").read_text("utf-8"))
NOTICE: str = _TEXTS["notice"]


def _about(name: str, **limits: Any) -> Any:
    return Field(description=_TEXTS["fields"][name], **limits)


_Short = Annotated[str, StringConstraints(min_length=1, max_length=50)]
_Languages = Annotated[list[_Short], _about("languages", max_length=50)]
_Since = Annotated[str, _about("since")]
_Until = Annotated[str, _about("until")]
# The schema shows the limits; our own check refuses, with a message that says what to do.
_Asked = Annotated[str, _about("question", json_schema_extra={"minLength": 1, "maxLength": MAX_QUESTION_CHARS})]


def make_server(chain: Chain) -> Any:
    """An `MCPServer` whose tools ask `chain`."""
    from mcp.server.mcpserver import MCPServer
    from mcp.types import ToolAnnotations

    instructions = _TEXTS["instructions"].strip().format(notice=NOTICE)
    server: MCPServer[Any] = MCPServer(
        "dragoman", title="Dragoman", instructions=instructions, version=version("dragoman"), subscriptions=False
    )
    harmless = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    tools = _Tools(chain)
    for tool in (tools.search_articles, tools.ask_articles, tools.read_passage):
        name = tool.__name__
        title, text = name.replace("_", " ").capitalize(), _TEXTS["tools"][name].strip().format(n=MAX_SPAN_CHARS)
        server.add_tool(tool, name=name, title=title, description=text, annotations=harmless)
    return server


class _Tools:
    """The tools."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def search_articles(
        self,
        query: _Asked,
        k: Annotated[int, _about("k", ge=1, le=50)] = 5,
        languages: _Languages = [],  # noqa: B006 - it is never changed, and its schema needs it
        since: _Since = "",
        until: _Until = "",
    ) -> Any:
        with _failures():
            where = FilterBody.model_construct(languages=languages, since=since, until=until).as_filter()
            found = self._chain.retrieve(_checked(query), k, where)
        output = search_json(found)
        for passage, item in zip(output["results"], found.passages, strict=True):
            passage |= {"url": item.passage.url, "date": item.passage.date}
        return _result(public(output))

    async def ask_articles(
        self,
        question: _Asked,
        languages: _Languages = [],  # noqa: B006
        since: _Since = "",
        until: _Until = "",
    ) -> Any:
        with _failures():
            where = FilterBody.model_construct(languages=languages, since=since, until=until).as_filter()
            answer = await answer_of(self._chain.astream(_checked(question), where=where))
        left_out = ("retrieved", "timings_ms", "usage")
        output = {name: value for name, value in public(answer_json(answer)).items() if name not in left_out}
        for citation, cited in zip(output["citations"], answer.citations, strict=True):
            citation["date"] = cited.date
        return _result(output)

    def read_passage(
        self,
        doc_id: Annotated[_Short, _about("doc_id")],
        start: Annotated[int, _about("start", ge=0)],
        end: Annotated[int, _about("end", ge=0)],
    ) -> Any:
        with _failures():
            return _result(_read(self._chain, doc_id, start, end))


def _result(output: dict[str, Any]) -> CallToolResult:
    """`output` as data, and as text for programs that read only that."""
    from mcp.types import CallToolResult, TextContent

    data = {"notice": NOTICE, **output}
    text = json.dumps(_inert(data), ensure_ascii=False, indent=1).encode("utf-8", "replace").decode()
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=data)


def _inert(data: Any, name: str = "") -> Any:
    """`data` in which no text of an article is markup: a program may show it as Markdown."""
    if isinstance(data, dict):
        return {key: _inert(value, key) for key, value in data.items()}
    if isinstance(data, list):
        return [_inert(value) for value in data]
    return data if not isinstance(data, str) or (name == "url" and is_web_address(data)) else inert(data)


@contextmanager
def _failures() -> Iterator[None]:
    """Report a failure to the model, as the other interfaces do."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        yield
    except Exception as error:  # noqa: BLE001 - a tool's failure is a result of the protocol
        log_unforeseen(error)
        raise ToolError(refusal_of(error).detail) from None


def _checked(question: str) -> str:
    try:
        return check_question(question)
    except ValueError as error:
        raise Refusal(422, str(error)) from error


def _read(chain: Chain, doc_id: str, start: int, end: int) -> dict[str, Any]:
    """A part of a document, as much as there is of it, with some of the text around it."""
    text = chain.backend.text(doc_id)
    if text is None:
        raise Refusal(404, f"there is no article {doc_id!r}; fix: search again, and take an id of a result")
    if start >= len(text):
        raise Refusal(422, f"the article has {len(text)} characters; expected: a start before that, not {start}")
    end = min(max(start, end), start + MAX_SPAN_CHARS, len(text))
    around = {"before": text[max(0, start - CONTEXT_CHARS) : start], "after": text[end : end + CONTEXT_CHARS]}
    return {"doc_id": doc_id, "start": start, "end": end, "n_chars": len(text), "text": text[start:end], **around}


class Endpoint:
    """An ASGI application for /mcp, which answers while `running`."""

    def __init__(self, chain: Chain, settings: ServerSettings) -> None:
        self._chain, self._settings = chain, settings
        self._manager: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is None:
            raise Refusal(501, "the tools need a library that is not installed; fix: pip install 'dragoman[mcp]'")
        self._check_origin(Headers(scope=scope))
        await self._manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Within it requests are served, where the protocol's library is installed."""
        if find_spec("mcp") is None:
            yield
            return
        from mcp.server.transport_security import TransportSecuritySettings

        server = make_server(self._chain)
        # Each request stands alone and is answered by one JSON document: nothing is lost when the server restarts.
        server.streamable_http_app(
            stateless_http=True,
            json_response=True,
            max_request_body_size=self._settings.max_body_bytes,
            # The application checks the host for every interface, and the origin is checked below.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        self._manager = server.session_manager
        async with self._manager.run():
            yield

    def _check_origin(self, headers: Headers) -> None:
        """Refuse pages of other origins, as the protocol demands."""
        origin = headers.get("origin", "")
        own = urlsplit(f"//{headers.get('host', '')}").hostname
        if origin and urlsplit(origin).hostname != own and origin not in self._settings.cors_origins:
            raise Refusal(403, "a page of another origin sent this; fix: cors_origins in dragoman.toml")


def serve_stdio(chain: Chain) -> None:
    """Serve the tools over stdin and stdout until stdin ends; for the main thread of a process of its own."""
    server = make_server(chain)
    # A thread waits for the next line of stdin, and Ctrl+C would wait for that thread.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        server.run("stdio")
    finally:
        signal.signal(signal.SIGINT, before)
