from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import regex

from index.encoders.base import Encoder
from index.ingest import ingest
from index.names import Origin, OtherForm, name_key
from index.search import ScoredPassage, SearchResult
from index.store.sqlite import EmbeddedBackend
from rag.answer import Answer
from rag.answerers.base import Task
from rag.answerers.extractive import ExtractiveAnswerer
from rag.chain import Chain, ChainSettings
from rag.events import Done
from rag.phrases import phrase
from rag.reader import chosen
from rag.testing import HashEncoder, WordReader

ROOT = Path(__file__).parent.parent.parent
MakePassage = Callable[..., ScoredPassage]
MakeResult = Callable[..., SearchResult]
QUESTIONS = [json.loads(line) for line in (ROOT / "ui/samples/questions.jsonl").read_text("utf-8").splitlines()]
# Whatever its relevance: how well questions are told apart is tuned and measured elsewhere.
ALWAYS = ChainSettings(min_relevance=0.0)


def answer(question: str, found: SearchResult) -> Answer:
    """The extractive answer from these passages, read by words."""
    found, sentences = chosen(found, WordReader().read(question, [item.passage for item in found.passages]))
    *_, done = ExtractiveAnswerer().answer(Task(question, "en", found, HashEncoder(), sentences))
    assert isinstance(done, Done)
    return done.answer


@pytest.fixture(scope="module")
def answers(sample_index: Path, encoder: Encoder) -> list[Answer]:
    chain = Chain(EmbeddedBackend(sample_index), encoder, settings=ALWAYS, reader=WordReader())
    return [chain.invoke(values["question"]) for values in QUESTIONS]


def test_every_citation_is_the_stored_text_between_its_offsets(
    answers: list[Answer], sample_backend: EmbeddedBackend
) -> None:
    citations = [citation for found in answers for citation in found.citations]
    assert len(citations) >= len(QUESTIONS) > 10
    for citation in citations:
        text = sample_backend.text(citation.doc_id)
        assert text is not None
        assert citation.quote == text[citation.start : citation.end] != ""
    for found in answers:
        spans = sorted((c.doc_id, c.start, c.end) for c in found.citations)
        for (doc, _, end), (next_doc, start, _) in itertools.pairwise(spans):
            assert doc != next_doc or end <= start  # no two overlap


def test_every_marker_is_a_citation_and_every_citation_has_a_marker(answers: list[Answer]) -> None:
    for found in answers:
        marked = [int(n) for n in regex.findall(r"\[(\d+)\]", found.text)]
        assert marked == [citation.n for citation in found.citations] == list(range(1, len(marked) + 1))


def test_every_sentence_of_an_answer_is_a_quotation_with_its_number(answers: list[Answer]) -> None:
    for found in answers:
        assert not found.abstained
        for sentence in found.sentences:
            (n,) = sentence.citations
            assert sentence.text == " ".join(found.citations[n - 1].quote.split())
            assert sentence.supported
            assert f"{sentence.text} [{n}]" in found.text


def test_an_answer_begins_with_a_line_in_the_questions_language_that_names_the_other_languages(
    answers: list[Answer],
) -> None:
    n_foreign = 0
    for found in answers:
        cited = {citation.language for citation in found.citations}
        others = sorted(tag for tag in cited if tag.split("-")[0] != found.language.split("-")[0])
        name = "intro_other" if others else "intro"
        expected = phrase(name, found.language).replace("{languages}", ", ".join(others))
        assert found.text.split("\n")[0] == expected
        n_foreign += bool(others)
    assert n_foreign > 10


def test_one_sentence_in_two_passages_is_quoted_once(make_passage: MakePassage, found_result: MakeResult) -> None:
    # Passages of one document share a sentence where they overlap.
    first = make_passage("Tea is hot. Water is cold.", 1, start=0)
    again = make_passage("Water is cold. Ice is colder.", 2, start=12)
    second = replace(again, passage=replace(again.passage, doc_id=first.passage.doc_id))
    found = answer("Water is cold?", found_result("Water is cold?", "en", first, second))
    assert [c.quote for c in found.citations].count("Water is cold.") == 1
    assert found.citations[0].quote == "Water is cold."


@pytest.mark.parametrize("colon", [":", "："])
def test_what_a_sentence_with_a_colon_introduces_is_quoted_with_it(
    make_passage: MakePassage, found_result: MakeResult, encoder: Encoder, colon: str
) -> None:
    question, opening = "What did Hinton say about himself?", f"Hinton said this about himself{colon}"
    passage = make_passage(f"{opening}\n\nI am old and I am worried. The weather was fine.")
    assert len(passage.passage.sentences) == 3
    found = answer(question, found_result(question, "en", passage))
    assert found.citations[0].quote == f"{opening}\n\nI am old and I am worried."
    # At the end of a passage there is nothing that it introduces.
    found = answer(question, found_result(question, "en", make_passage(opening)))
    assert found.citations[0].quote == opening


def test_a_sentence_over_several_lines_is_shown_on_one_and_cited_as_it_stands(
    make_passage: MakePassage, found_result: MakeResult
) -> None:
    passage = make_passage(
        "The harbour of the town was once built by the\nromans   and is still open to every ship and\nin use.", start=50
    )
    found = answer("harbour", found_result("harbour", "en", passage))
    assert (
        found.sentences[0].text
        == "The harbour of the town was once built by the romans and is still open to every ship and in use."
    )
    assert found.citations[0].quote == passage.passage.text
    assert (found.citations[0].start, found.citations[0].end) == (50, 50 + len(passage.passage.text))


def test_markers_of_the_source_do_not_become_citations_of_the_answer(
    make_passage: MakePassage, found_result: MakeResult
) -> None:
    passage = make_passage("The harbour was built in 120.[1][23] Its tower [7, 8] is white［２］.")
    found = answer("harbour tower", found_result("harbour tower", "en", passage))
    marked = [int(n) for n in regex.findall(r"\[(\d+)\]", found.text)]
    assert marked == [c.n for c in found.citations]
    assert not regex.search(r"\d\]", "".join(sentence.text for sentence in found.sentences))
    assert "[1][23]" in "".join(c.quote for c in found.citations)  # the quotation itself stays verbatim


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Who won the cup?", "en"),
        ("誰贏得了獎盃？", "zh-Hant"),
        ("ใครชนะ", "th"),
        ("من فاز بالكأس؟", "ar"),
    ],
)
def test_an_abstention_is_in_the_questions_language_and_cites_nothing(
    sample_backend: EmbeddedBackend, encoder: Encoder, question: str, language: str
) -> None:
    # A relevance of 1 is never reached: every question is held not to be answered.
    found = Chain(sample_backend, encoder, settings=ChainSettings(min_relevance=1.0), reader=WordReader()).invoke(
        question
    )
    assert found.abstained
    assert found.text == phrase("abstain", language)
    assert (found.answer_language, found.sentences, found.citations) == (language, (), ())
    assert found.retrieved  # what was found is told apart from what is cited


def test_an_empty_index_abstains_and_says_that_it_is_empty(tmp_path: Path, encoder: Encoder) -> None:
    ingest(tmp_path / "index", [], encoder, n_workers=1)
    backend = EmbeddedBackend(tmp_path / "index")
    chain = Chain(backend, encoder, reader=WordReader())
    for question, language in (("누가 우승했나요?", "ko"), ("Who won?", "en"), ("???", "en")):
        found = chain.invoke(question)
        assert (found.abstained, found.text, found.retrieved) == (True, phrase("empty", language), ())
    backend.close()


def test_names_of_the_question_are_shown_in_both_scripts(make_passage: MakePassage) -> None:
    def form(name: str, other: str, confidence: float) -> OtherForm:
        return OtherForm(name, other, name_key(other), confidence, Origin.GLOSS)

    text = "阿爾特曼離開了公司。"
    forms = (
        form("Altman", "阿尔特曼", 0.9),
        form("Altman", "尔特曼", 0.8),
        form("Sam", "萨姆", 0.9),  # not in the sentence
        form("Left", "离开", 0.5),  # not sure enough
    )
    passage = make_passage(text, language="zh-Hant")
    passage.evidence.forms = forms
    found = answer("Altman", SearchResult("Altman", "en", (passage,), ()))
    first = found.text.splitlines()[1]
    assert first == "阿爾特曼離開了公司。 [1] (Altman = 阿爾特曼)"
    assert found.sentences[0].text == "阿爾特曼離開了公司。"
    assert found.citations[0].quote == "阿爾特曼離開了公司。"
