from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from index.encoders.base import Encoder
from index.search import MAX_QUESTION_CHARS, check_question
from index.store.sqlite import EmbeddedBackend
from rag.answer import Usage
from rag.answerers.base import Draft, Task, finish
from rag.chain import Chain, ChainSettings
from rag.errors import ModelFailed
from rag.events import Event
from rag.testing import HashEncoder, WordReader
from tests.ui.browser import served
from tests.ui.hostile import HOSTILE, RENDERER, Tags
from tests.ui.running import small_chain
from ui.render import as_written, inert
from ui.server.app import make_app
from ui.server.keys import KeyFile, Scope
from ui.server.openai import MAX_MESSAGES
from ui.server.settings import ServerSettings

QUESTION = "¿Cuántos documentos revisaron los abogados?"
ANYTHING = ChainSettings(min_relevance=0.0)
PAGES = {
    "harbour": ("The harbour's [new] <b>cranes", "https://news.example/harbour?a=1", "The harbour has seven cranes."),
    "bridge": ("The bridge", "", "The bridge over the harbour has two towers."),
}


@contextlib.contextmanager
def serving(chain: Chain, **given: Any) -> Iterator[str]:
    """The address of this interface of a real server, without the page."""
    settings = ServerSettings(**{"per_minute": 10_000, **given})
    with served(make_app(chain, settings, with_page=False, host="127.0.0.1")) as origin:
        yield f"{origin}/v1"


@contextlib.contextmanager
def asking(address: str, key: str = "sk-any") -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key=key, max_retries=0, timeout=30) as client:
        yield client


@contextlib.contextmanager
def answering(chain: Chain, answerer: Any) -> Iterator[OpenAI]:
    """A client of a server where `answerer` answers over the index of `chain`."""
    other = Chain(chain.backend, HashEncoder(), answerer, ANYTHING, reader=WordReader())
    with serving(other) as address, asking(address) as client:
        yield client


@pytest.fixture(scope="module")
def samples(sample_index: Path, encoder: Encoder) -> Iterator[Chain]:
    backend = EmbeddedBackend(sample_index)
    yield Chain(backend, encoder, settings=ANYTHING, reader=WordReader())
    backend.close()


@pytest.fixture(scope="module")
def address(samples: Chain) -> Iterator[str]:
    with serving(samples) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[OpenAI]:
    with asking(address) as client:
        yield client


@pytest.fixture(scope="module")
def web_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Two articles, one of them a web page."""
    texts = {}
    for name, (title, url, text) in PAGES.items():
        head = f'---\ntitle: "{title}"\nlang: en\n' + (f"url: {url}\n" if url else "") + "---\n\n"
        texts[f"{name}.md"] = head + text + "\n"
    with small_chain(tmp_path_factory.mktemp("pages"), texts) as chain:
        yield chain


@pytest.fixture(scope="module")
def web_client(web_chain: Chain) -> Iterator[OpenAI]:
    with serving(web_chain) as address, asking(address) as client:
        yield client


def user(text: Any) -> list[Any]:
    return [{"role": "user", "content": text}]


def ask(client: OpenAI, messages: list[Any], **body: Any) -> Any:
    return client.chat.completions.create(model="dragoman", messages=messages, extra_body=body)


# --- answers ------------------------------------------------------------------------------------------------


def test_an_answer_is_a_chat_completion_with_its_citations_beside_it(client: OpenAI, samples: Chain) -> None:
    expected = samples.invoke(QUESTION)
    got = ask(client, user(QUESTION))
    (choice,) = got.choices
    assert (got.object, got.model, got.id[:9]) == ("chat.completion", "dragoman", "chatcmpl-")
    assert (choice.message.content, choice.message.role, choice.finish_reason) == (expected.text, "assistant", "stop")
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (0, 0, 0)
    first = got.citations[0]
    text = samples.backend.text(first["doc_id"])
    assert text is not None
    assert text[first["start"] : first["end"]] == first["quote"] == expected.citations[0].quote
    assert [item["text"] for item in got.retrieved] == [item.passage.text for item in expected.retrieved]
    assert (got.abstained, got.warnings) == (False, [])
    assert choice.message.annotations == []  # the samples are no web pages


@pytest.mark.parametrize(
    "question", ["誰被OpenAI董事會解職？", "متى أُطلق تلسكوب جيمس ويب؟", "Altman氏はいつ復帰した\u2028のか？"]
)
def test_a_stream_says_what_the_whole_answer_says_in_every_script(
    client: OpenAI, samples: Chain, question: str
) -> None:
    expected = samples.invoke(question)
    chunks = list(client.chat.completions.create(model="dragoman", messages=user(question), stream=True))
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces) == expected.text == ask(client, user(question)).choices[0].message.content
    assert sum(bool(piece) for piece in pieces) == 1 + len(expected.sentences)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    last: Any = chunks[-1]
    assert [item["quote"] for item in last.citations] == [citation.quote for citation in expected.citations]
    assert (last.abstained, len(last.retrieved)) == (False, len(expected.retrieved))
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_on_the_wire_is_lines_of_data_up_to_done(address: str) -> None:
    body = {"model": "dragoman", "messages": user(QUESTION), "stream": True, "stream_options": {"include_usage": True}}
    with httpx.Client(trust_env=False) as plain:
        response = plain.post(f"{address}/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    *events, end = response.text.split("\n\n")
    assert end == ""
    assert all(event.startswith("data: ") and len(event.splitlines()) == 1 for event in events)
    assert events.pop() == "data: [DONE]"
    parsed = [json.loads(event.removeprefix("data: ")) for event in events]
    assert (parsed[-1]["choices"], parsed[-1]["usage"]["total_tokens"]) == ([], 0)
    assert [chunk["usage"] for chunk in parsed[:-1]] == [None] * (len(parsed) - 1)
    assert "más de 30.000" in response.text  # not escaped: that would double the bytes of most scripts


def test_there_is_one_model(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("dragoman", "model", "dragoman")
    assert client.models.retrieve("dragoman") == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-5")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "expected: dragoman" in caught.value.message
    with pytest.raises(openai.NotFoundError, match="expected: dragoman"):
        client.chat.completions.create(model="gpt-5", messages=user(QUESTION))


# --- what is asked ------------------------------------------------------------------------------------------


def test_the_last_user_message_is_the_question_and_the_earlier_ones_the_conversation(client: OpenAI) -> None:
    conversation = [
        {"role": "system", "content": "Answer as a pirate."},
        {"role": "user", "content": "When did the Webb telescope leave Earth?"},
        {"role": "assistant", "content": "In 2021. [1]"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Why did"}, {"type": "text", "text": "it leave?"}]},
    ]
    followed = ask(client, conversation)
    assert "webb" in followed.retrieved[0]["source"]
    assert followed.retrieved != ask(client, user("Why did\nit leave?")).retrieved
    assert followed.retrieved == ask(client, conversation[1:3] + conversation[4:]).retrieved
    # What stands behind the last question is no part of it.
    assert followed.retrieved == ask(client, [*conversation, {"role": "assistant", "content": "Because"}]).retrieved


def test_markers_of_earlier_answers_are_left_out(web_chain: Chain) -> None:
    seen: list[Any] = []

    def rewriter(question: str, history: Any) -> str:
        seen.extend((turn.question, turn.answer) for turn in history)
        return question

    chain = Chain(web_chain.backend, HashEncoder(), settings=ANYTHING, rewriter=rewriter, reader=WordReader())
    said = "Seven. [1]"
    with serving(chain) as address, asking(address) as client:
        first = [*user("x" * 3_000), *user("How many?"), {"role": "assistant", "content": said}]
        as_shown = {"role": "assistant", "content": inert("See www.a.example & <b>.")}
        ask(client, [*first, *user("Which?"), as_shown, *user("Where?")])
    written = ("Which?", "See www.a.example & <b>.")
    assert seen == [("x" * MAX_QUESTION_CHARS, ""), ("How many?", "Seven."), written]


def test_fields_of_others_are_taken_and_ours_are_kept_to(client: OpenAI) -> None:
    others = {"temperature": 0, "max_tokens": 5, "n": 1, "tool_choice": "none", "never_heard_of": {"a": 1}}
    got = ask(client, user(QUESTION), **others, dragoman={"filter": {"languages": ["fr"]}})
    assert {item["language"] for item in got.retrieved} == {"fr"}
    with pytest.raises(openai.BadRequestError, match=r"dragoman.filters: Extra inputs are not permitted"):
        ask(client, user(QUESTION), dragoman={"filters": {"languages": ["fr"]}})


# --- sources ------------------------------------------------------------------------------------------------


class EachOnce:
    """An answerer that cites every passage, the web page last."""

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        for item in sorted(task.found.passages, key=lambda item: item.passage.url):
            number = draft.cite(item.passage, item.passage.start, item.passage.end)
            yield draft.say(f"𝒜<b> [{number}] ")
        yield from finish(task, draft, answer_language="en")


@pytest.mark.parametrize("stream", [False, True])
def test_markers_of_web_pages_are_annotated_where_they_stand(web_chain: Chain, stream: bool) -> None:
    with answering(web_chain, EachOnce()) as client:
        got: Any = client.chat.completions.create(model="dragoman", messages=user("How many cranes?"), stream=stream)
        if stream:
            *before, last = list(got)
            content = "".join(chunk.choices[0].delta.content or "" for chunk in before)
            citations, annotations = last.citations, last.choices[0].delta.annotations
        else:
            content, citations = got.choices[0].message.content, got.citations
            annotations = [annotation.model_dump() for annotation in got.choices[0].message.annotations]
    assert content == "𝒜<\u2060b> [1] 𝒜<\u2060b> [2] "
    assert [citation["url"] for citation in citations] == ["", PAGES["harbour"][1]]
    # In code points of what is shown: twice 6 before a marker, which has 3, and a space.
    title, url, _ = PAGES["harbour"]
    cited = {"start_index": 16, "end_index": 19, "title": title, "url": url}
    assert annotations == [{"type": "url_citation", "url_citation": cited}]


def test_an_address_that_is_not_of_the_web_is_not_annotated(web_chain: Chain) -> None:
    class Hostile:
        def answer(self, task: Task) -> Iterator[Event]:
            draft = Draft()
            for url in ("javascript:alert(1)", "file:///etc/passwd", "https://a.example/](x)", "HTTPS://ok.example/"):
                passage = replace(task.found.passages[0].passage, doc_id=url, url=url)
                yield draft.say(f"A[{draft.cite(passage, passage.start, passage.start + 3)}] ")
            yield from finish(task, draft, answer_language="en")

    with answering(web_chain, Hostile()) as client:
        got = ask(client, user("How many cranes?"))
    content = got.choices[0].message.content
    (annotation,) = got.choices[0].message.annotations
    assert annotation.url_citation.url == "HTTPS://ok.example/"
    assert content[annotation.url_citation.start_index : annotation.url_citation.end_index] == "[4]"


# --- text of articles is text --------------------------------------------------------------------------------


class Echo:
    """An answerer that says the question, a sign at a time, and cites a passage."""

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        passage = task.found.passages[0].passage
        number = draft.cite(passage, passage.start, passage.start + 3)
        for piece in (*task.question, f" [{number}]"):
            yield draft.say(piece)
        yield from finish(task, draft, answer_language="en")


@pytest.fixture(scope="module")
def echo(web_chain: Chain) -> Iterator[OpenAI]:
    with answering(web_chain, Echo()) as client:
        yield client


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.parametrize("hostile", [*HOSTILE, "```html\n<b>x</b>\n```", "\\href{javascript:alert(1)}{x}"])
def test_what_an_answer_says_is_shown_as_it_is_and_is_no_image_link_or_tag(echo: OpenAI, hostile: str) -> None:
    question = user(f"Cranes: {hostile}")
    whole = ask(echo, question).choices[0].message.content
    assert text_of(echo.chat.completions.create(model="dragoman", messages=question, stream=True)) == whole
    assert as_written(whole) == f"{check_question(f'Cranes: {hostile}')} [1]"
    shown = Tags(RENDERER.render(whole))
    assert not {"a", "img", "script", "style", "svg", "iframe", "comment", "declaration", "instruction"} & {
        tag for tag, _ in shown.tags
    }
    assert all(not attributes or set(attributes) == {"start"} for _, attributes in shown.tags)
    # Programs that make links of bare addresses (GitHub's Markdown, 6.9) find none.
    assert not re.search(r"https?://\S|www\.\S|[\w.+-]@\S", shown.text)


@given(st.text(alphabet="![]()<>:/@\\&#w.a \n`~1lt;h", max_size=40), st.integers(1, 5))
def test_text_in_pieces_is_as_inert_as_the_whole(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    shown = "".join(inert(piece, text[: at * size]) for at, piece in enumerate(pieces))
    assert shown == inert(text)
    assert as_written(shown) == text
    assert not {"a", "img"} & {tag for tag, _ in Tags(RENDERER.render(shown)).tags}


def test_no_answer_tells_where_the_server_keeps_its_files(web_client: OpenAI, web_chain: Chain) -> None:
    got = ask(web_client, user("How many cranes?"))
    assert {item["source"] for item in (*got.retrieved, *got.citations)} == {"harbour.md", "bridge.md"}
    assert str(web_chain.backend.folder.parent) not in got.model_dump_json()


# --- models -------------------------------------------------------------------------------------------------


class Model:
    """An answerer that counts tokens, begins again, or fails in the middle."""

    def __init__(self, *, fails: Exception | None = None, begins_again: bool = False) -> None:
        self._fails, self._begins_again = fails, begins_again

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        passage = task.found.passages[0].passage
        if self._begins_again:
            yield draft.say(f"No, [{draft.cite(passage, passage.start, passage.start + 3)}]")
            yield draft.say("\n\n")
            draft.clear()
        yield draft.say(f"Seven [{draft.cite(passage, passage.start, passage.start + 5)}].")
        if self._fails:
            raise self._fails
        draft.count(Usage(120, 7, 1))
        yield from finish(task, draft, answer_language="en")


def test_the_usage_is_what_the_model_tells(web_chain: Chain) -> None:
    with answering(web_chain, Model()) as client:
        usage = ask(client, user("How many cranes?")).usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (120, 7, 127)
        stream = client.chat.completions.create(
            model="dragoman", messages=user("How many cranes?"), stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = list(stream)
        assert (last.choices, last.usage and last.usage.total_tokens) == ([], 127)
        assert all(chunk.usage is None for chunk in chunks)


def test_annotations_point_into_the_text_that_was_streamed(web_chain: Chain) -> None:
    question = "The harbour has seven cranes."
    with answering(web_chain, Model(begins_again=True)) as client:
        *before, last = list(client.chat.completions.create(model="dragoman", messages=user(question), stream=True))
    content = "".join(chunk.choices[0].delta.content or "" for chunk in before)
    assert content == "No, [1]\n\nSeven [1]."
    (annotation,) = last.choices[0].delta.annotations  # type: ignore[attr-defined]
    # "No, [1]" has 7 characters, the gap 2, "Seven " 6: 15; the marker is 3 long.
    assert (annotation["url_citation"]["start_index"], annotation["url_citation"]["end_index"]) == (15, 18)


def test_a_model_that_fails_is_told_in_the_stream_and_by_status(web_chain: Chain) -> None:
    failing = Model(fails=ModelFailed("the model is gone", "an answer", "start it"))
    question = user("How many cranes?")
    with answering(web_chain, failing) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client, question)
        assert (caught.value.status_code, caught.value.type, caught.value.code) == (502, "server_error", "model_failed")
        assert "the model is gone; expected: an answer; fix: start it" in str(caught.value)
        got = []
        with pytest.raises(openai.APIError, match="the model is gone"):
            for chunk in client.chat.completions.create(model="dragoman", messages=question, stream=True):
                got.append(chunk.choices[0].delta.content)
        assert got == ["", "Seven [1]."]


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"messages": user("x" * (MAX_QUESTION_CHARS + 1))}, "messages", "2001 characters; expected: at most 2000"),
        ({"messages": user(" \n\u3000")}, "messages", "the question is empty"),
        ({"messages": user("a") * (MAX_MESSAGES + 1)}, "messages", "at most 1000 items"),
        ({"messages": [{"role": "system", "content": "Hello"}]}, "messages", "there is no user message"),
        ({"messages": [*user("a"), {"role": "tool", "content": "b"}]}, "messages.1.role", "Input should be"),
        ({"messages": user([{"type": "image_url", "image_url": {"url": "https://x"}}])}, "", "content"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "at most 0 items"),
        ({"response_format": {"type": "json_object"}}, "response_format.type", "should be 'text'"),
        ({"dragoman": {"footer": True}}, "dragoman.footer", "Extra inputs"),
        ({"dragoman": {"filter": {"since": "May"}}}, "filter", "since is 'May'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_the_shape_of_openai(
    address: str, body: dict[str, Any], param: str | None, words: str
) -> None:
    whole = {"model": "dragoman", "messages": user(QUESTION), **body}
    with httpx.Client(trust_env=False) as plain:
        response = plain.post(
            f"{address}/chat/completions", content=json.dumps(whole), headers={"Content-Type": "application/json"}
        )
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    if param != "":
        assert error["param"] == param
    assert "xxx" not in response.text
    assert QUESTION not in response.text


# --- whoever refuses ----------------------------------------------------------------------------------------


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[Chain, dict[Scope, str]]]:
    """A chain whose index has a key of each scope."""
    with small_chain(tmp_path, {"a.txt": "The harbour has seven cranes."}) as chain:
        yield chain, {scope: KeyFile(tmp_path / "index").add(scope, [scope]) for scope in Scope}


def shaped(error: openai.APIStatusError, kind: str, code: str | None) -> None:
    """A refusal has OpenAI's four fields, and nothing else."""
    body = error.response.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    assert (error.type, error.code) == (kind, code)
    assert error.response.headers["content-type"] == "application/json"
    assert error.response.headers["x-content-type-options"] == "nosniff"


def test_each_refusal_of_the_gate_is_an_error_of_the_official_client(keyed: tuple[Chain, dict[Scope, str]]) -> None:
    chain, keys = keyed
    question = user("How many cranes?")
    with serving(chain, per_minute=4) as address:
        with asking(address, keys[Scope.ASK]) as client:
            assert ask(client, question).choices[0].message.content
            with pytest.raises(openai.APIStatusError) as misdirected:
                client.with_options(default_headers={"Host": "evil.example"}).models.list()
            assert misdirected.value.status_code == 400
        with asking(address, "dk_wrong") as client, pytest.raises(openai.AuthenticationError) as unknown:
            ask(client, question)
        shaped(unknown.value, "invalid_request_error", "unauthorized")
        assert unknown.value.response.headers["www-authenticate"] == "Bearer"
        with asking(address, keys[Scope.INGEST]) as client, pytest.raises(openai.PermissionDeniedError) as denied:
            client.models.list()
        shaped(denied.value, "invalid_request_error", "forbidden")
        with asking(address, keys[Scope.ASK]) as client, pytest.raises(openai.APIStatusError) as large:
            ask(client, user("x" * 2**20))
        assert large.value.status_code == 413
        with asking(address, keys[Scope.ASK]) as client, pytest.raises(openai.NotFoundError) as nowhere:
            client.embeddings.create(model="dragoman", input="cranes")
        shaped(nowhere.value, "invalid_request_error", "not_found")
        with asking(address, keys[Scope.ASK]) as client, pytest.raises(openai.RateLimitError) as limited:
            for _ in range(5):
                client.models.list()
        shaped(limited.value, "requests", "too_many_requests")
        assert 1 <= int(limited.value.response.headers["retry-after"]) <= 15
