from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from index.encoders.base import Encoder
from index.search import ScoredPassage, SearchResult
from rag.answer import Answer, Verdict
from rag.answerers.base import Task, Turn
from rag.answerers.generative import GenerativeAnswerer, ModelLimits, load_chat_model
from rag.errors import ModelUnavailable
from rag.events import CitationsResolved, Delta, Done, Event, SentenceDone, Warned
from rag.phrases import phrase
from rag.reader import chosen
from rag.testing import Piece, ScriptedChatModel, WordReader

MakePassage = Callable[..., ScoredPassage]
MakeResult = Callable[..., SearchResult]
Script = Callable[[list[str]], list[Piece]]

KOREAN = "오픈AI 이사회는 샘 올트먼을 해임했다. 닷새 뒤 그는 복귀했다. 회사 가치는 약 860억 달러로 평가됐다."
JAPANESE = "天気は晴れだった。旧取締役会から残ったのはアダム・ディアンジェロ氏ただ一人である。"
QUESTION = "How much was OpenAI worth, and who stayed on the board?"
VALUED = "The company was valued at about 860억 dollars"
STAYED = "Only Adam D'Angelo of the old board stayed"


@pytest.fixture
def task(make_passage: MakePassage, found_result: MakeResult, encoder: Encoder) -> Task:
    korean = make_passage(KOREAN, 1, language="ko", start=10, date="2023-11-23", title="오픈AI")
    japanese = make_passage(JAPANESE, 2, language="ja", start=500)
    found = found_result(QUESTION, "en", korean, japanese)
    _, sentences = chosen(found, WordReader().read(QUESTION, [korean.passage, japanese.passage]))
    return Task(QUESTION, "en", found, encoder, sentences)


def last(events: list[Event]) -> Answer:
    done = events[-1]
    assert isinstance(done, Done)
    return done.answer


def asked(model: ScriptedChatModel, task: Task, **limits: Any) -> Answer:
    return last(list(GenerativeAnswerer(model, limits=ModelLimits(**limits)).answer(task)))


def run(task: Task, script: list[Piece] | Script) -> tuple[list[Event], Answer]:
    events = list(GenerativeAnswerer(ScriptedChatModel(script=script)).answer(task))
    return events, last(events)


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def unmarked(text: str) -> str:
    """`text` without the marks behind sentences that are not supported, in English."""
    return regex.sub(r" \((?:not supported by the cited passage|only partly[^)]*|no source)\)", "", text)


def test_an_answer_cites_the_sentence_of_each_passage_that_bears_it_out(task: Task) -> None:
    events, answer = run(task, lambda keys: [f"{VALUED} [{keys[0]}]. {STAYED} [{keys[1]}]."])
    assert answer.text == f"{VALUED}. [1] {STAYED}. [2]"
    assert not answer.abstained
    assert answer.answer_language == "en"
    assert [(s.text, s.supported, s.citations) for s in answer.sentences] == [
        (f"{VALUED}.", True, (1,)),
        (f"{STAYED}.", True, (2,)),
    ]
    first, second = answer.citations
    assert first.quote == "회사 가치는 약 860억 달러로 평가됐다."
    assert first.start == 10 + KOREAN.index(first.quote)
    assert first.end == 10 + len(KOREAN)
    assert (first.n, first.language, first.date, first.title) == (1, "ko", "2023-11-23", "오픈AI")
    assert second.quote == "旧取締役会から残ったのはアダム・ディアンジェロ氏ただ一人である。"
    assert second.start == 500 + JAPANESE.index(second.quote)
    assert (answer.warnings, answer.retrieved) == ((), task.found.passages)
    assert [type(event) for event in events] == [Delta, SentenceDone, Delta, SentenceDone, CitationsResolved, Done]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 300), max_size=12))
def test_an_answer_does_not_depend_on_the_pieces_that_it_comes_in(task: Task, cuts: list[int]) -> None:
    def script(keys: list[str]) -> list[Piece]:
        one, two = keys
        text = (
            f"{VALUED} [{one}]. {STAYED} [{two}], and he [zzzzz] is one [{one}], [{two}]! 「That」 [3] is... it?"
            f" [{one}] Yes — 3.5 times [{two}].\nThe end [{one}"
        )
        edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
        return [text[a:b] for a, b in itertools.pairwise(edges)]

    events, answer = run(task, script)
    assert said(events) == answer.text
    expected = f"{VALUED}. [1] {STAYED}, and he is one! [2][1] 「That」 is... it? [1] Yes — 3.5 times. [2] The end [1]"
    # Which span of a passage bears a sentence out is another matter: only the passages count here.
    passage_of = {c.n: 1 if c.language == "ko" else 2 for c in answer.citations}
    assert regex.sub(r"\[(\d+)\]", lambda m: f"[{passage_of[int(m[1])]}]", unmarked(answer.text)) == expected


PARTS = ["KEY1", "KEY2", "[KEY1]", "[KEY2]", "[zzzzz]", "[1]", *"[]1가Ä,", " ", ". ", "。", "word", "\n"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=25))
def test_whatever_a_model_writes_every_marker_of_the_answer_is_a_citation(task: Task, parts: list[str]) -> None:
    def script(keys: list[str]) -> list[Piece]:
        return [part.replace("KEY1", keys[0]).replace("KEY2", keys[1]) for part in parts]

    _, answer = run(task, script)
    marked = [int(n) for n in regex.findall(r"\[(\d+)\]", answer.text)]
    assert set(marked) == {citation.n for citation in answer.citations} == set(range(1, len(answer.citations) + 1))
    for citation in answer.citations:
        passage = next(item.passage for item in task.found.passages if item.passage.doc_id == citation.doc_id)
        assert citation.quote == passage.text[citation.start - passage.start : citation.end - passage.start]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The stop may stand before or behind the marker; two markers in a row, with a comma or without.
        ("One [A]. Two [B].", "One. [A] Two. [B]"),
        ("One [A], [B]. Two.", "One. [A][B] Two."),
        ("一つ【A】。二つ［B］。", "一つ。 [A] 二つ。 [B]"),
        # A marker inside a sentence belongs to that sentence.
        ("According to [A], one is so. Two.", "According to, one is so. [A] Two."),
        ("One is so [A], while two is not [B]. Three.", "One is so, while two is not. [A][B] Three."),
        ("One [A] and two [B] are.", "One and two are. [A][B]"),
        # Numbers in brackets that the model copies from an encyclopedia are no citations of this answer.
        ("One [4–5]. Two [3] [B].", "One. Two. [B]"),
        # Sentences without a marker of their own do not borrow one.
        ("One. Two [A]. Three.", "One. Two. [A] Three."),
    ],
)
def test_a_marker_belongs_to_the_sentence_that_it_stands_in_or_behind(task: Task, text: str, expected: str) -> None:
    _, answer = run(task, lambda keys: [regex.sub("[AB](?=[]】］])", lambda m: keys["AB".index(m[0])], text)])
    letters = {c.n: "A" if c.language == "ko" else "B" for c in answer.citations}
    assert regex.sub(r"\[(\d+)\]", lambda m: f"[{letters[int(m[1])]}]", unmarked(answer.text)) == expected


def test_a_sentence_that_cites_nothing_is_given_the_passage_that_bears_it_out(task: Task) -> None:
    _, answer = run(task, lambda keys: [f"{VALUED}. {STAYED} [{keys[1]}]."])
    assert answer.text == f"{VALUED}. [1] {STAYED}. [2]"
    assert [citation.language for citation in answer.citations] == ["ko", "ja"]


@pytest.mark.parametrize(
    ("sentence", "verdict", "mark"),
    [
        (f"{VALUED}.", Verdict.SUPPORTED, ""),
        ("The company was valued at about 900억 dollars.", Verdict.UNSUPPORTED, "not supported by the cited passage"),
        (f"{VALUED} by 14 people.", Verdict.PARTLY, "only partly supported by the cited passage"),
        ("The company was not valued at about 860억 dollars.", Verdict.PARTLY, "only partly supported"),
    ],
)
def test_how_far_a_sentence_is_borne_out_stands_behind_it(
    task: Task, sentence: str, verdict: Verdict, mark: str
) -> None:
    events, answer = run(task, lambda keys: [f"{sentence[:-1]} [{keys[0]}]."])
    (said_of,) = answer.sentences
    assert (said_of.verdict, said_of.supported) == (verdict, verdict is Verdict.SUPPORTED)
    assert answer.text == said(events)
    assert answer.text.startswith(f"{sentence} [1]" + (f" ({mark}" if mark else ""))
    assert answer.text.endswith(")" if mark else "[1]")


def test_citations_of_passages_that_were_not_given_are_removed_and_said(task: Task) -> None:
    _, answer = run(task, lambda keys: [f"{VALUED} [{keys[0]}][zzzzz]. {STAYED} [7][{keys[1]}]."])
    assert answer.text == f"{VALUED}. [1] {STAYED}. [2]"
    assert answer.warnings == ("2 citations of passages that were not given were removed",)


def test_an_answer_in_another_language_than_the_question_is_said(task: Task) -> None:
    _, answer = run(task, lambda keys: [f"회사 가치는 약 860억 달러로 평가됐다 [{keys[0]}]."])
    assert answer.answer_language == "ko"
    assert answer.warnings == ("the answer is in ko, not in the question's language (en)",)


class Turns(ScriptedChatModel):
    """Says its first script when it is asked first, its second when it is asked again, and so on."""

    scripts: list[Any]

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        self.script = self.scripts[min(len(self.calls), len(self.scripts) - 1)]
        return super()._stream(messages, stop, run_manager, **kwargs)


def in_turns(*scripts: Any) -> Turns:
    return Turns(script=[], scripts=list(scripts))


def test_a_model_that_begins_in_another_language_is_told_so_once_and_nothing_of_it_is_shown(task: Task) -> None:
    model = in_turns(
        lambda keys: [f"회사 가치는 약 860억 달러로 평가됐다 [{keys[0]}]. 그렇다."],
        lambda keys: [f"{VALUED} [{keys[0]}]."],
    )
    events = list(GenerativeAnswerer(model).answer(task))
    assert said(events) == f"{VALUED}. [1]"
    assert (last(events).text, last(events).warnings) == (f"{VALUED}. [1]", ())
    assert len(model.calls) == 2
    assert str(model.calls[1][-1].content).endswith("your last answer was not in English.")
    assert "last answer" not in str(model.calls[0][-1].content)


def test_a_request_that_fails_is_made_again(task: Task) -> None:
    model = in_turns([RuntimeError("busy")], [RuntimeError("busy")], lambda keys: [f"{VALUED} [{keys[0]}]."])
    answer = asked(model, task, backoff_s=0.0, n_retries=2)
    assert (answer.text, answer.warnings) == (f"{VALUED}. [1]", ())
    assert len(model.calls) == 3


def test_a_second_model_is_asked_where_the_first_fails(task: Task) -> None:
    first = ScriptedChatModel(script=lambda keys: [f"{STAYED} [{keys[1]}]. And", RuntimeError("gone")])
    second = ScriptedChatModel(script=lambda keys: [f"{VALUED} [{keys[0]}]."])
    limits = ModelLimits(backoff_s=0.0, n_retries=2)
    events = list(GenerativeAnswerer(first, fallback=second, limits=limits).answer(task))
    answer = last(events)
    assert len(first.calls) == 1  # what has been said is not asked for again
    assert answer.text == f"{VALUED}. [1]"
    assert [citation.language for citation in answer.citations] == ["ko"]
    assert answer.warnings[0].endswith("asked another model instead")
    assert said(events) == f"{STAYED}. [1]\n\n{VALUED}. [1]"


def test_passages_that_do_not_fit_are_left_out_from_the_end(task: Task) -> None:
    model = ScriptedChatModel(script=lambda keys: [f"{VALUED} [{keys[0]}]."])
    asked(model, task, max_prompt_tokens=150)
    sent = str(model.calls[0][-1].content)
    assert KOREAN in sent
    assert JAPANESE not in sent
    asked(model, task, max_prompt_tokens=1)
    assert KOREAN in str(model.calls[1][-1].content)  # one at least


def test_a_prompt_that_is_too_long_for_the_model_is_made_shorter(task: Task) -> None:
    too_long = ValueError("This model's maximum context length is 4096 tokens, you requested 4292")
    model = in_turns([too_long], lambda keys: [f"{VALUED} [{keys[0]}]."])
    assert (asked(model, task, max_prompt_tokens=1_000).text, len(model.calls)) == (f"{VALUED}. [1]", 2)
    hopeless = in_turns([too_long])
    assert "answered from the articles' own sentences" in asked(hopeless, task).warnings[0]
    assert len(hopeless.calls) == 4  # 6,000, 3,000, 1,500 and 750 tokens


def test_the_last_turns_of_the_conversation_come_before_the_question(task: Task) -> None:
    model = ScriptedChatModel(script=["NO_ANSWER"])
    turns = [Turn(f"question {i}", f"answer {i} [1][2]") for i in range(6)]  # the markers are not sent
    list(GenerativeAnswerer(model).answer(replace(task, history=turns)))
    middle = model.calls[0][1:-1]
    assert [message.text for message in middle] == [
        f"{kind} {i}" for i in range(2, 6) for kind in ("question", "answer")
    ]
    assert [type(message) for message in middle[:2]] == [HumanMessage, AIMessage]


@pytest.mark.parametrize(
    "pieces",
    [
        ["NO", "_ANS", "WER"],
        list(" \nNO_ANSWER.\n"),
        ["**NO_ANSWER**"],
        ["NO_ANSWER", " because the passages speak of something else."],
    ],
)
def test_a_refusal_is_an_abstention_in_the_questions_language(task: Task, pieces: list[Piece]) -> None:
    events, answer = run(replace(task, question="얼마인가요?", language="ko"), pieces)
    assert answer.abstained
    assert answer.text == said(events) == phrase("abstain", "ko")
    assert (answer.answer_language, answer.sentences, answer.citations, answer.warnings) == ("ko", (), (), ())


def test_a_text_that_only_begins_like_a_refusal_is_an_answer(task: Task) -> None:
    for text in ("NO", "NO_", "No way."):
        _, answer = run(task, list(text))
        assert not answer.abstained
        assert unmarked(answer.text) == text


def test_a_model_that_fails_in_the_middle_gives_way_and_its_own_words_are_not_in_the_answer(task: Task) -> None:
    events, answer = run(task, lambda keys: [f"{VALUED} [{keys[0]}]. Then", " it", ConnectionError("gone")])
    assert said(events).startswith(f"{VALUED}. [1]")  # it was shown already
    assert said(events).endswith("\n\n" + answer.text)
    assert answer.text.startswith("This is what the articles say")
    assert VALUED not in answer.text
    marked = [int(n) for n in regex.findall(r"\[(\d+)\]", answer.text)]
    assert marked == [citation.n for citation in answer.citations]
    assert "ConnectionError: gone" in answer.warnings[0]
    assert Warned(answer.warnings[0]) in events


@pytest.mark.parametrize("pieces", [[""], ["  \n "], ["[zzzzz]"], ["[1]"]])
def test_a_reply_without_text_gives_way_too(task: Task, pieces: list[Piece]) -> None:
    _, answer = run(task, pieces)
    assert answer.text.startswith("This is what the articles say")
    assert answer.warnings[0].startswith("the model returned no text")


class _Stub(BaseHTTPRequestHandler):
    """As much of OpenAI's chat completions as a streaming client needs."""

    requests: list[dict[str, object]]
    status = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append({"path": self.path, "key": self.headers["Authorization"], **body})
        self.send_response(self.status)
        self.send_header("Content-Type", "text/event-stream" if self.status == 200 else "application/json")
        self.end_headers()
        if self.status != 200:
            self.wfile.write(b'{"error": {"message": "the stub is down", "type": "server_error"}}')
            return
        keys = regex.findall(r"^\[([a-z]{5})\] \(", body["messages"][-1]["content"], regex.MULTILINE)
        for piece in [f"{VALUED} [", keys[0][:2], keys[0][2:], "]. ", f"{STAYED} [{keys[1]}", "]."]:
            choice = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def stub(monkeypatch: pytest.MonkeyPatch, status: int = 200) -> Iterator[list[dict[str, object]]]:
    """The requests so far to a server on a free port of this machine, which the environment names."""
    handler = type("Handler", (_Stub,), {"requests": [], "status": status})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-stub")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield handler.requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_openai_shaped_server_is_asked_over_http(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    with stub(monkeypatch) as requests:
        events = list(GenerativeAnswerer(load_chat_model("openai:stub-model", timeout_s=10)).answer(task))
    assert last(events).text == said(events) == f"{VALUED}. [1] {STAYED}. [2]"
    assert last(events).warnings == ()
    (request,) = requests
    assert (request["path"], request["key"]) == ("/v1/chat/completions", "Bearer sk-stub")
    assert (request["model"], request["stream"], request["temperature"]) == ("stub-model", True, 0)
    assert "tools" not in request


def test_a_server_that_answers_500_gives_way_with_a_warning_and_is_not_asked_more_often_than_told(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub(monkeypatch, 500) as requests:
        limits = ModelLimits(n_retries=1, backoff_s=0.0)
        answerer = GenerativeAnswerer(load_chat_model("openai:stub-model", timeout_s=10), limits=limits)
        answer = last(list(answerer.answer(task)))
    assert len(requests) == 2  # the first and one repeat
    assert answer.text.startswith("This is what the articles say")
    assert answer.warnings[0].endswith("answered from the articles' own sentences instead")
    assert "500 - the stub is down" in answer.warnings[0]
    assert "sk-stub" not in str(answer)


OTHERS = "use one of openai, anthropic, google_genai, mistralai, ollama, or install LangChain's package"


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        ("anthropic:claude-sonnet-5", "pip install 'dragoman[anthropic]', and set its key in the environment"),
        ("openai:", "pip install 'dragoman[openai]', and set its key in the environment"),
        ("nobody:model", f"{OTHERS} for nobody"),
        ("", OTHERS),
    ],
)
def test_a_provider_that_is_not_installed_or_unknown_is_an_error_that_names_the_command(spec: str, remedy: str) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        load_chat_model(spec)
    assert caught.value.remedy.removesuffix(" for your provider") == remedy
    assert f"the model {spec!r} cannot be set up" in caught.value.found
    assert "openai:gpt-5-mini" in caught.value.expected


WRONG = {
    "a key that was not given": lambda a, b: f"{VALUED} [zzzzz].",
    "a number in other digits": lambda a, b: f"{VALUED} [١].",
    "the other passage": lambda a, b: f"{VALUED} [{b}].",
    "a key in capitals and a made up one": lambda a, b: f"{STAYED} [{a.upper()}][QQQQQ].",
    "a passage that says nothing of it": lambda a, b: f"Penguins breed on the ice [{a}][{b}].",
    "nothing at all": lambda a, b: "The moon is made of cheese.",
    "another name": lambda a, b: f"Only Mark Zuckerberg of the old board stayed [{b}].",
    "a marker that breaks off": lambda a, b: f"Penguins breed on the ice [{a[:3]}",
    "a key inside a word": lambda a, b: f"Penguins{a} breed on the ice.",
}


@pytest.mark.parametrize("way", WRONG)
def test_a_wrong_citation_reaches_nobody_as_a_plain_one(task: Task, way: str) -> None:
    events, answer = run(task, lambda keys: [WRONG[way](*keys)])
    assert said(events) == answer.text
    (sentence,) = answer.sentences
    plain = regex.search(r"\[\d+\]$", answer.text) is not None
    if plain:  # a right passage was found for it instead
        assert sentence.verdict is Verdict.SUPPORTED
        assert (sentence.text, answer.citations[0].language) == (f"{VALUED}.", "ko")
        assert way in ("a key that was not given", "a number in other digits")
    else:
        assert sentence.verdict is not Verdict.SUPPORTED
        assert answer.text.endswith(")")
    assert answer.warnings
